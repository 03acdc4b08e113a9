//! YAML as this crate takes it: a tree with line numbers, out of text that may be hostile.
//!
//! Both profiles and files of a node come through here. What makes YAML dangerous is refused: anchors and aliases (one line of
//! them unfolds to gigabytes), tags, several documents, a key twice. Depth and number of nodes have budgets, and so the memory
//! taken is a small multiple of the text.

mod de;

pub use de::{DecodeError, decode};

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};
use std::collections::HashSet;
use thiserror::Error;

/// Longest text in bytes. The largest shipped profile has a third of it, a kubelet configuration a hundredth.
pub const MAX_LEN: usize = 512 * 1024;
/// Deepest nesting. Profiles nest 12 deep, kubelet configurations 5.
pub const MAX_DEPTH: usize = 32;
/// Most nodes. The largest shipped profile has a fifth of it.
pub const MAX_NODES: usize = 64 * 1024;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text. `quoted` tells `"true"` from `true`.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Whether it stood in quotes or in a block.
        quoted: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, which are plain text and distinct, and values, in order.
    Mapping(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Line, from 1.
    pub line: usize,
    /// The key.
    pub text: String,
}

/// Why text is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum YamlError {
    /// More bytes than [`MAX_LEN`].
    #[error("{found} bytes of YAML, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {at} is not UTF-8")]
    NotUtf8 {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Not YAML.
    #[error("line {line}: {found}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says.
        found: String,
    },
    /// An anchor, an alias, a tag, a key that is not text, or a second document.
    #[error("line {line}: {what} is not taken here")]
    Refused {
        /// Where.
        line: usize,
        /// What was found.
        what: &'static str,
    },
    /// The same key twice in one mapping.
    #[error("line {line}: key {key:?} is there twice")]
    Twice {
        /// Where the second is.
        line: usize,
        /// The key.
        key: String,
    },
    /// Deeper than [`MAX_DEPTH`], or more nodes than [`MAX_NODES`].
    #[error("line {line}: more than {expected} {what}")]
    Budget {
        /// Where it was exceeded.
        line: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        expected: usize,
    },
}

impl YamlError {
    /// Where, if that is known.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::TooLong { .. } | Self::NotUtf8 { .. } => None,
            Self::Syntax { line, .. }
            | Self::Refused { line, .. }
            | Self::Twice { line, .. }
            | Self::Budget { line, .. } => Some(*line),
        }
    }

    /// What, without where.
    pub fn message(&self) -> String {
        let text = self.to_string();
        match self.line() {
            Some(line) => text.strip_prefix(&format!("line {line}: ")).unwrap_or(&text).to_owned(),
            None => text,
        }
    }
}

/// Reads one document. An empty one is an empty mapping.
///
/// # Errors
///
/// [`YamlError`]
pub fn parse(bytes: &[u8]) -> Result<Node, YamlError> {
    if bytes.len() > MAX_LEN {
        return Err(YamlError::TooLong { expected: MAX_LEN, found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| YamlError::NotUtf8 { at: error.valid_up_to() })?;
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder { open: Vec::new(), root: None, nodes: 0, documents: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        builder.event(event, &span)?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, value: Value::Mapping(Vec::new()) }))
}

fn syntax(error: &ScanError) -> YamlError {
    YamlError::Syntax { line: error.marker().line(), found: error.info() }
}

/// A collection that is still open.
enum Open {
    Sequence { line: usize, items: Vec<Node> },
    Mapping { line: usize, entries: Vec<(Key, Node)>, keys: HashSet<String>, key: Option<Key> },
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(YamlError::Refused { line, what: "a second document" });
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                return Err(YamlError::Refused { line, what: "an alias" });
            }
            Event::Scalar(text, style, anchor, tag) => {
                plain(line, anchor, tag.is_some())?;
                self.count(line)?;
                let quoted = style != ScalarStyle::Plain;
                self.value(Node { line, value: Value::Scalar { text: text.into_owned(), quoted } })?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain(line, anchor, tag.is_some())?;
                self.start(line, Open::Sequence { line, items: Vec::new() })?;
            }
            Event::MappingStart(_, anchor, tag) => {
                plain(line, anchor, tag.is_some())?;
                let (entries, keys) = (Vec::new(), HashSet::new());
                self.start(line, Open::Mapping { line, entries, keys, key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::Sequence { line, items }) => Node { line, value: Value::Sequence(items) },
                    Some(Open::Mapping { line, entries, .. }) => {
                        Node { line, value: Value::Mapping(entries) }
                    }
                    None => return Err(YamlError::Refused { line, what: "an end without a start" }),
                };
                self.value(node)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, line: usize) -> Result<(), YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(YamlError::Budget { line, what: "values", expected: MAX_NODES });
        }
        Ok(())
    }

    fn start(&mut self, line: usize, open: Open) -> Result<(), YamlError> {
        self.count(line)?;
        if self.open.len() == MAX_DEPTH {
            return Err(YamlError::Budget { line, what: "levels", expected: MAX_DEPTH });
        }
        self.open.push(open);
        Ok(())
    }

    fn value(&mut self, node: Node) -> Result<(), YamlError> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, keys, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return Err(YamlError::Refused { line: node.line, what: "a key that is not text" });
                    };
                    if !keys.insert(text.clone()) {
                        return Err(YamlError::Twice { line: node.line, key: text });
                    }
                    *key = Some(Key { line: node.line, text });
                }
            },
        }
        Ok(())
    }
}

fn plain(line: usize, anchor: usize, tagged: bool) -> Result<(), YamlError> {
    match (anchor, tagged) {
        (0, false) => Ok(()),
        (0, true) => Err(YamlError::Refused { line, what: "a tag" }),
        _ => Err(YamlError::Refused { line, what: "an anchor" }),
    }
}

impl Node {
    /// Number of values, this one among them.
    pub fn count(&self) -> usize {
        let within: usize = match &self.value {
            Value::Scalar { .. } => 0,
            Value::Sequence(items) => items.iter().map(Self::count).sum(),
            Value::Mapping(entries) => entries.iter().map(|(_, value)| value.count()).sum(),
        };
        within.saturating_add(1)
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// The value at a dotted path of keys.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }

    /// Whether this is YAML's null: nothing, `~` or `null`, not in quotes.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The texts of a list of scalars; one scalar is a list of itself.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match &self.value {
            Value::Sequence(items) => items.iter().map(Self::text).collect(),
            Value::Scalar { .. } => self.text().map(|text| vec![text]),
            Value::Mapping(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> YamlError {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn values_know_their_lines() {
        let node = parse(b"a: 1\nb:\n  c: [x, 'true']\n  d: ~\n").unwrap();
        assert_eq!(node.at("b.c").unwrap().line, 3);
        assert_eq!(node.at("b.c").unwrap().texts(), Some(vec!["x", "true"]));
        assert_eq!(node.at("a").unwrap().text(), Some("1"));
        assert!(node.at("b.d").unwrap().is_null() && node.at("b.x").is_none());
        assert_eq!(parse(b"").unwrap().value, Value::Mapping(Vec::new()));
    }

    #[test]
    fn what_makes_yaml_dangerous_is_refused() {
        let what = |text: &str| match refused(text) {
            YamlError::Refused { what, .. } => what,
            error => panic!("{text}: {error}"),
        };
        assert_eq!(what("a: &x 1\nb: *x\n"), "an anchor");
        assert_eq!(what("a: !!python/object:os.system x\n"), "a tag");
        assert_eq!(what("a: 1\n---\nb: 2\n"), "a second document");
        assert_eq!(what("[1]: 2\n"), "a key that is not text");
        assert_eq!(refused("a: 1\nb: 2\na: 3\n"), YamlError::Twice { line: 3, key: "a".to_owned() });
        assert!(matches!(refused("a: [1\n"), YamlError::Syntax { .. }));
        assert_eq!(parse(b"a: \xff\n"), Err(YamlError::NotUtf8 { at: 3 }));
    }

    #[test]
    fn bombs_stop_at_a_budget() {
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n";
        assert!(matches!(refused(laughs), YamlError::Refused { line: 1, what: "an anchor" }));
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
            let error = refused(&deep);
            assert!(matches!(error, YamlError::Syntax { .. } | YamlError::Budget { .. }), "{error}");
        }
        let expected = YamlError::Budget { line: 1, what: "values", expected: MAX_NODES };
        assert_eq!(refused(&format!("[{}]", "1,".repeat(MAX_NODES))), expected);
        let found = MAX_LEN + 1;
        assert_eq!(refused(&" ".repeat(found)), YamlError::TooLong { expected: MAX_LEN, found });
    }
}
