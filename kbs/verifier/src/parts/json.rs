//! JSON without ambiguity and without amplification.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Most keys and values of one text, together. Evidence has some sixty; what a client adds to its JWK fits too. A value costs up to
/// a hundred times its text once it is built, so this bounds memory where the length of the text does not.
pub(super) const MAX_NODES: usize = 1024;
/// Most objects inside each other. Evidence has five.
pub(super) const MAX_DEPTH: usize = 16;

/// Why a text is not read.
#[derive(Debug)]
pub(super) enum JsonError {
    /// More than [`MAX_NODES`] or [`MAX_DEPTH`].
    Budget(String),
    /// Not JSON, not one object, an array, or a key twice.
    Syntax(String),
}

/// Walks through the text and keeps nothing of it: it is one object; in it and below it are only objects, strings, numbers,
/// booleans and nulls, within budget; and no object has a key twice, because RFC 8259, section 4 leaves open what that would mean.
///
/// No part of the evidence is an array. Where one is expected, a deserializer would take it for an object without names.
pub(super) fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut walk = Walk { left: MAX_NODES, spent: None };
    let walked = Node { walk: &mut walk, depth: 0 }.deserialize(&mut reader).and_then(|()| reader.end());
    walked.map_err(|error| walk.spent.map_or_else(|| JsonError::Syntax(error.to_string()), JsonError::Budget))
}

struct Walk {
    left: usize,
    /// Which budget, once it is spent.
    spent: Option<String>,
}

impl Walk {
    fn spend<E: Error>(&mut self) -> Result<(), E> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.over(format!("more than {MAX_NODES} keys and values"))),
        }
    }

    fn over<E: Error>(&mut self, what: String) -> E {
        let error = E::custom(&what);
        self.spent = Some(what);
        error
    }
}

/// One value, inside `depth` objects.
struct Node<'w> {
    walk: &'w mut Walk,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.walk.spend()?;
        if self.depth == 0 { deserializer.deserialize_map(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth == 0 { "an object" } else { "an object, string, number, boolean or null" })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("an array, where evidence has none"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { walk, depth } = self;
        if depth == MAX_DEPTH {
            return Err(walk.over(format!("more than {MAX_DEPTH} objects inside each other")));
        }
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            walk.spend()?;
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("key {key:?} twice")));
            }
            seen.insert(key);
            entries.next_value_seed(Node { walk: &mut *walk, depth: depth + 1 })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn syntax(text: &str, says: &str) {
        match check(text.as_bytes()) {
            Err(JsonError::Syntax(found)) => assert!(found.contains(says), "{found}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn nested(depth: usize) -> String {
        format!("{}{{}}{}", "{\"a\":".repeat(depth - 1), "}".repeat(depth - 1))
    }

    fn wide(keys: usize) -> String {
        let entries: Vec<_> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", entries.join(","))
    }

    #[test]
    fn a_key_may_be_in_an_object_once() {
        for good in ["{}", r#"{"a": {"a": -1}, "b": {"a": 1.5, "c": null, "d": true, "e": "a"}}"#] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [r#"{"a": 1, "a": 1}"#, r#"{"b": {"a": 1, "\u0061": 2}}"#] {
            syntax(bad, "twice");
        }
        for bad in ["", "{", "{} {}", "{\"a\":1,}"] {
            syntax(bad, "");
        }
        assert!(matches!(check(b"{\"a\": \"\xff\"}"), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn what_is_no_object_or_has_an_array_is_refused() {
        for bad in ["[]", "1", "null", "\"a\""] {
            syntax(bad, "an object");
        }
        syntax(r#"{"a": [1]}"#, "array");
        syntax(r#"{"a": {"b": []}}"#, "array");
    }

    #[test]
    fn keys_values_and_depth_have_a_budget() {
        // The object itself is a value too.
        assert!(check(wide((MAX_NODES - 1) / 2).as_bytes()).is_ok());
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        for bad in [wide(MAX_NODES / 2 + 1), nested(MAX_DEPTH + 1), nested(100_000)] {
            assert!(matches!(check(bad.as_bytes()), Err(JsonError::Budget(_))));
        }
    }
}
