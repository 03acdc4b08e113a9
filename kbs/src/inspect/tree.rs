//! A tree of labelled values, for people and as JSON.

use serde::Serialize;

/// How a value reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// What one wants to see.
    Good,
    /// What a strict owner would not take.
    Bad,
    /// Worth a look.
    Notice,
}

/// One line, and what belongs under it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What it is.
    pub label: String,
    /// Its value; empty for a heading.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// How it reads.
    #[serde(skip_serializing_if = "is_plain")]
    pub tone: Tone,
    /// Details.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

impl Node {
    /// A heading.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A label with a value.
    pub fn with(label: impl Into<String>, value: impl std::fmt::Display) -> Self {
        Self { label: label.into(), value: value.to_string(), ..Self::default() }
    }

    /// The same in a tone.
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Add a field.
    pub fn field(&mut self, label: impl Into<String>, value: impl std::fmt::Display) -> &mut Self {
        self.children.push(Self::with(label, value));
        self
    }

    /// Add a field in a tone.
    pub fn toned(
        &mut self,
        label: impl Into<String>,
        value: impl std::fmt::Display,
        tone: Tone,
    ) -> &mut Self {
        self.children.push(Self::with(label, value).tone(tone));
        self
    }

    /// Add a node.
    pub fn push(&mut self, node: Node) -> &mut Self {
        self.children.push(node);
        self
    }
}

/// `yes` or `no`, in the tone that the answer has.
pub fn flag(node: &mut Node, label: &str, set: bool, when_set: Tone, when_clear: Tone) {
    let (text, tone) = if set { ("yes", when_set) } else { ("no", when_clear) };
    node.toned(label, text, tone);
}

fn is_plain(tone: &Tone) -> bool {
    *tone == Tone::Plain
}
