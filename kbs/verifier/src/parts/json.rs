//! JSON without ambiguity and without amplification.
//!
//! There is one reader and one pass: what is forbidden is refused while the values are read. A check that went before with a reader of
//! its own would cost as much again, and could see another text than the one that is then believed.

mod strict;

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::marker::PhantomData;
use strict::{Strict, Walk};

/// Most keys and values of one text, together. Evidence has some sixty; what a client adds to its JWK fits too. A value costs up to
/// a hundred times its text once it is built, so this bounds memory where the length of the text does not.
pub(super) const MAX_NODES: usize = 1024;
/// Most objects inside each other. Evidence has five.
pub(super) const MAX_DEPTH: usize = 16;

/// Most elements of all arrays of one text. The oldest evidence of an Azure TDX guest spells some 8,500 bytes as numbers; each takes
/// 32 bytes once it is built.
pub(super) const MAX_ELEMENTS: usize = 16 << 10;

/// Why a text is not read.
#[derive(Debug)]
pub(super) enum JsonError {
    /// More than [`MAX_NODES`], [`MAX_DEPTH`] or [`MAX_ELEMENTS`].
    Budget(String),
    /// Not JSON, not one object, an array, a key twice, or not what was to be read.
    Syntax(String),
}

/// Reads a value from a text that is one object; in it and below it are only objects, strings, numbers, booleans and nulls, within
/// budget; and no object has a key twice, because RFC 8259, section 4 leaves open what that would mean. All this holds for what is
/// ignored too.
///
/// No part of sealpod's evidence is an array. Where one is expected, a deserializer would take it for an object without names.
///
/// Where a text is both of another form and not what `T` wants, the error is about its form.
#[cfg(test)]
fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, JsonError> {
    // Of a text that is known to be UTF-8, no string needs a look of its own.
    read_str(std::str::from_utf8(text).map_err(|error| JsonError::Syntax(error.to_string()))?)
}

/// As [`read`], but with arrays below the object that is called `below`, for whose form others have decided. Itself, it must not be an
/// array, and whatever is read from it must not take an array for an object.
pub(super) fn read_with_arrays<'de, T: Deserialize<'de>>(
    text: &'de [u8],
    below: &'static str,
) -> Result<T, JsonError> {
    let text = std::str::from_utf8(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
    read_twice(text, Some(below))
}

/// As [`read`], of a text that is known to be UTF-8.
pub(super) fn read_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, JsonError> {
    read_twice(text, None)
}

fn read_twice<'de, T: Deserialize<'de>>(
    text: &'de str,
    arrays_below: Option<&'static str>,
) -> Result<T, JsonError> {
    let form = || read_once::<IgnoredAny>(text, arrays_below).err();
    read_once(text, arrays_below).map_err(|error| form().unwrap_or(error))
}

fn read_once<'de, T: Deserialize<'de>>(
    text: &'de str,
    arrays_below: Option<&'static str>,
) -> Result<T, JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut walk = Walk::new(arrays_below);
    let read = Strict::root(&mut reader, &mut walk).value(PhantomData);
    let read = read.and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| walk.spent().map_or_else(|| JsonError::Syntax(error.to_string()), JsonError::Budget))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    /// Built or ignored, a text is refused alike.
    #[track_caller]
    fn check(text: &[u8]) -> Result<(), JsonError> {
        let (built, ignored) = (read::<Value>(text), read::<IgnoredAny>(text));
        assert_eq!(built.is_ok(), ignored.is_ok(), "{built:?}");
        ignored.map(|_| ())
    }

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
    fn arrays_are_taken_below_one_object_alone() {
        fn check(text: &str) -> Result<(), JsonError> {
            let built = read_with_arrays::<Value>(text.as_bytes(), "p");
            let ignored = read_with_arrays::<IgnoredAny>(text.as_bytes(), "p");
            assert_eq!(built.is_ok(), ignored.is_ok(), "{built:?}");
            ignored.map(|_| ())
        }
        for good in [
            r#"{"p": {"a": [1, [2], {"b": [3]}], "c": []}, "d": 1}"#,
            r#"{"a": {"p": {"b": [0]}}}"#,
            r#"{"p": 1}"#,
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            r#"{"p": [1]}"#,
            r#"{"a": [1]}"#,
            r#"{"p": {"a": 1}, "b": [1]}"#,
            r#"{"p": {"a": [{"b": 1, "b": 2}]}}"#,
            r#"{"p": {"a": [1,]}}"#,
        ] {
            assert!(matches!(check(bad), Err(JsonError::Syntax(_))), "{bad}");
        }
        let list = |count: usize| format!("{{\"p\":{{\"a\":[{}0]}}}}", "0,".repeat(count - 1));
        assert!(check(&list(MAX_ELEMENTS)).is_ok());
        assert!(matches!(check(&list(MAX_ELEMENTS + 1)), Err(JsonError::Budget(_))));
        let deep =
            |depth: usize| format!("{{\"p\":{{\"a\":{}{}}}}}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        assert!(check(&deep(MAX_DEPTH)).is_ok());
        for bad in [deep(MAX_DEPTH + 1), deep(100_000)] {
            assert!(matches!(check(&bad), Err(JsonError::Budget(_))));
        }
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

    #[test]
    fn what_is_ignored_is_still_json() {
        #[derive(Debug, serde::Deserialize)]
        struct Read {
            a: Option<u8>,
        }
        let read = |text: &str| read::<Read>(text.as_bytes());
        assert_eq!(read(r#"{"a": 1, "b": {"c": [0]}}"#).map(|read| read.a).ok(), None);
        assert_eq!(read(r#"{"a": 1, "b": {"c": {}}}"#).unwrap().a, Some(1));
        assert_eq!(read(r#"{"a": null, "b": "\ud83d\ude00"}"#).unwrap().a, None);
        for ignored in [r#"{"c": 1, "c": 1}"#, r#""\ud800""#, "1e999", "01", "\"\n\"", "nul", r#""\x""#] {
            let text = format!(r#"{{"a": 1, "b": {ignored}}}"#);
            assert!(matches!(read(&text), Err(JsonError::Syntax(_))), "{text}");
        }
        for bad in [r#"{"a": 1, "a": 1}"#, r#"{"a": 256}"#, r#"{"a": [1]}"#, r#"{"a": 1} 1"#] {
            assert!(matches!(read(bad), Err(JsonError::Syntax(_))), "{bad}");
        }
        let over = format!(r#"{{"a": 1, "b": {}}}"#, wide(MAX_NODES / 2));
        assert!(matches!(read(&over), Err(JsonError::Budget(_))));
    }

    #[test]
    fn numbers_may_be_keys_in_one_way_each() {
        let read = |key: &str| read::<BTreeMap<u8, String>>(format!(r#"{{"{key}": "v"}}"#).as_bytes());
        assert_eq!(read("0").unwrap(), BTreeMap::from([(0, "v".to_owned())]));
        assert_eq!(read("255").unwrap(), BTreeMap::from([(255, "v".to_owned())]));
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1.0", "1e0", "256", "a", "99999999999999999999"]
        {
            assert!(matches!(read(bad), Err(JsonError::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn built_values_are_those_of_the_plain_reader() {
        let text = r#"{"a": {"b": -1, "c": 1.5, "d": 18446744073709551615, "e": "\u0061\n\u2028"}, "f": true, "\u0067": null}"#;
        assert_eq!(read::<Value>(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }
}
