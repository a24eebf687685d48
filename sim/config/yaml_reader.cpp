// Text to nodes: checks the bytes, then builds the tree from yaml-cpp's events, so that marks and limits are our own.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <istream>
#include <streambuf>
#include <system_error>
#include <unordered_map>

#include "sim/config/document_node.h"

namespace echelon {

namespace {

using Node = Value::Node;
using NodePointer = std::shared_ptr<const Node>;

// Length of the UTF-8 sequence at the start of `text`, 0 where there is none (overlong forms and surrogates included).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80U) return 1;
  if (lead >= 0xC2U && lead <= 0xDFU) return continues(1) ? 2 : 0;
  if (lead >= 0xE0U && lead <= 0xEFU) {
    const bool overlong = lead == 0xE0U && byte(1) < 0xA0U;
    const bool surrogate = lead == 0xEDU && byte(1) > 0x9FU;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0U && lead <= 0xF4U) {
    const bool overlong = lead == 0xF0U && byte(1) < 0x90U;
    const bool beyond = lead == 0xF4U && byte(1) > 0x8FU;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r';
}

// Refuses bytes that are no UTF-8 text, naming the first.
void check_text(std::string_view text, const std::string& name, Places places) {
  SourceLocation here{name, 1, 1};
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = is_control(text[i]) ? 0 : utf8_length(text.substr(i));
    if (length == 0) {
      if (places == Places::dropped) here.line = here.column = 0;
      throw InputError(here, fmt::format("byte 0x{:02X} is no text", static_cast<unsigned char>(text[i])),
                       "expected YAML or JSON in UTF-8");
    }
    if (text[i] == '\n') {
      ++here.line;
      here.column = 1;
    } else {
      here.column += static_cast<int>(length);
    }
    i += length;
  }
}

// yaml-cpp holds all tokens of a bracketed root at once: bounds them before it starts, from counts that no document
// within the limits reaches.
void check_amount(std::string_view text, const std::string& name) {
  if (text.size() > DocumentLimits::bytes)
    throw InputError({name, 0, 0}, "the file is too large",
                     fmt::format("a document has at most {} MiB", DocumentLimits::bytes / 1024 / 1024));
  std::size_t openers = 0;
  std::size_t separators = 0;
  for (const char c : text) {
    openers += c == '[' || c == '{';
    separators += c == ',' || c == ']' || c == '}' || c == '&' || c == '*' || c == '!';
  }
  if (openers > DocumentLimits::values || separators > 2 * DocumentLimits::values)
    throw InputError({name, 0, 0}, "the document has too many values",
                     fmt::format("at most {} are read", DocumentLimits::values));
}

// Without the byte-order mark, with every line end as \n.
std::string normalised(std::string_view text) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r')
      result += text[i];
    else if (i + 1 == text.size() || text[i + 1] != '\n')
      result += '\n';
  }
  return result;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& name, Places places)
      : file_(std::make_shared<const std::string>(name)), places_(places) {}

  // Null when the text held no document.
  const NodePointer& root() const { return root_; }

  SourceLocation at(const YAML::Mark& mark) const {
    if (mark.is_null() || places_ == Places::dropped) return {*file_, 0, 0};
    return {*file_, mark.line + 1, mark.column + 1};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_)
      throw InputError(at(mark), "a second document begins here", "expected one document in a file (no second '---')");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add_leaf(make(NodeKind::null, mark), anchor, mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(tag, mark);
    if (value.find('\0') != std::string::npos)
      throw InputError(at(mark), "the text contains a NUL character", "expected printable text");
    auto node = make(tag == "!" ? NodeKind::quoted : NodeKind::plain, mark);
    node->scalar = value;
    add_leaf(node, anchor, mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end() || !found->second)
      throw InputError(at(mark), "this alias stands inside the value that it names",
                       "expected an alias of a value that has ended");
    const NodePointer& node = found->second;
    count(node->values, mark);
    if (frames_.size() + node->height > DocumentLimits::depth) fail_depth(mark);
    attach(node, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(NodeKind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(NodeKind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    YAML::Mark mark;
    std::size_t first_value = 0;  // count_ before this collection
    bool has_key = false;         // of a mapping: the last entry waits for its value
  };

  std::shared_ptr<Node> make(NodeKind kind, const YAML::Mark& mark) const {
    auto node = std::make_shared<Node>();
    const SourceLocation where = at(mark);
    node->kind = kind;
    node->line = where.line;
    node->column = where.column;
    node->file = file_;
    return node;
  }

  void check_tag(const std::string& tag, const YAML::Mark& mark) const {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw InputError(at(mark), fmt::format("tag {} is not used here", in_quotes(tag)),
                       "expected a value without a tag");
  }

  [[noreturn]] void fail_depth(const YAML::Mark& mark) const {
    throw InputError(at(mark), fmt::format("values are nested more than {} deep", DocumentLimits::depth),
                     "expected a flatter document");
  }

  void count(std::size_t values, const YAML::Mark& mark) {
    count_ += values;
    if (count_ > DocumentLimits::values)
      throw InputError(at(mark), "the document has too many values",
                       fmt::format("at most {} are read, aliases expanded", DocumentLimits::values));
  }

  bool expects_key() const {
    return !frames_.empty() && frames_.back().node->kind == NodeKind::mapping && !frames_.back().has_key;
  }

  void add_leaf(const NodePointer& node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    count(1, mark);
    if (anchor != 0) anchors_[anchor] = node;
    attach(node, mark);
  }

  void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(tag, mark);
    if (frames_.size() >= DocumentLimits::depth) fail_depth(mark);
    if (expects_key()) fail_key(mark);
    if (anchor != 0) anchors_[anchor] = nullptr;
    frames_.push_back({make(kind, mark), anchor, mark, count_, false});
    count(1, mark);
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    frame.node->values = count_ - frame.first_value;
    std::size_t below = 0;
    for (const NodePointer& item : frame.node->items) below = std::max(below, item->height);
    for (const Node::Entry& entry : frame.node->entries) below = std::max(below, entry.value->height);
    frame.node->height = below + 1;
    if (frame.anchor != 0) anchors_[frame.anchor] = frame.node;
    attach(frame.node, frame.mark);
  }

  void attach(const NodePointer& node, const YAML::Mark& mark) {
    if (frames_.empty()) {
      root_ = node;
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node->kind == NodeKind::sequence) {
      frame.node->items.push_back(node);
    } else if (frame.has_key) {
      frame.node->entries.back().value = node;
      frame.has_key = false;
    } else {
      add_key(frame, *node, mark);
    }
  }

  [[noreturn]] void fail_key(const YAML::Mark& mark) const {
    throw InputError(at(mark), "a bracketed or empty value stands where a key should",
                     "expected 'key: value', and every bracket closed");
  }

  void add_key(Frame& frame, const Node& key, const YAML::Mark& mark) const {
    if (key.kind != NodeKind::plain && key.kind != NodeKind::quoted) fail_key(mark);
    const SourceLocation where = at(mark);
    if (key.kind == NodeKind::plain && key.scalar == "<<")
      throw InputError(where, "merge keys ('<<') are not read", "expected the keys themselves, or an alias of a value");
    if (const Node::Entry* first = frame.node->entry(key.scalar))
      throw InputError(where,
                       fmt::format("key {} is there twice, first in line {}", in_quotes(key.scalar), first->line),
                       "expected each key once");
    frame.node->index.emplace(key.scalar, frame.node->entries.size());
    frame.node->entries.push_back({key.scalar, where.line, where.column, file_, nullptr});
    frame.has_key = true;
  }

  std::shared_ptr<const std::string> file_;
  Places places_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, NodePointer> anchors_;  // null while the value is still open
  std::size_t count_ = 0;
  NodePointer root_;
};

// A stream over text in place.
class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string& text) { setg(text.data(), text.data(), text.data() + text.size()); }
};

// The first bytes of a file, a little more than the limit where it is longer.
std::string read_bytes(const std::filesystem::path& path) {
  const SourceLocation where{path.string(), 0, 0};
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw InputError(where, "no such file", "expected a YAML or JSON file");
  if (std::filesystem::is_directory(status))
    throw InputError(where, "this is a directory", "expected a YAML or JSON file");
  std::ifstream stream(path, std::ios::binary);
  std::string text;
  std::array<char, 16384> chunk;
  while (stream && text.size() <= DocumentLimits::bytes) {
    stream.read(chunk.data(), chunk.size());
    text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
  }
  if (!stream && !stream.eof()) throw InputError(where, "the file cannot be read", "check its permissions");
  return text;
}

}  // namespace

std::shared_ptr<const Value::Node> parse_nodes(std::string_view bytes, const std::string& name, Places places) {
  std::string text = normalised(bytes);
  check_text(std::string_view(text).substr(0, DocumentLimits::bytes), name, places);
  check_amount(bytes, name);
  TextBuffer buffer(text);
  std::istream stream(&buffer);
  TreeBuilder builder(name, places);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    throw InputError(builder.at(error.mark), error.msg, "expected YAML or JSON");
  }
  if (!builder.root() || builder.root()->kind == NodeKind::null)
    throw InputError({name, 0, 0}, "the document is empty", "expected 'key: value' lines");
  return builder.root();
}

Value parse_text(std::string_view text, const std::string& name) {
  return Value(parse_nodes(text, name, Places::kept));
}

Value parse_file(const std::filesystem::path& path) {
  return parse_text(read_bytes(path), path.string());
}

}  // namespace echelon
