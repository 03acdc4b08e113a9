//! The import table of docs/architecture.md, enforced on what cargo says the dependencies are.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crate, and the only crates of this workspace that it may import outside of tests.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sealpod-evidence", &[]),
    ("sealpod-channel", &["sealpod-evidence"]),
    ("sealpod-guest", &["sealpod-channel", "sealpod-evidence"]),
    ("sealpod-verifier", &["sealpod-evidence"]),
    ("sealpod-compliance", &["sealpod-evidence", "sealpod-verifier"]),
    ("sealpod-kbs", &["sealpod-compliance", "sealpod-evidence", "sealpod-verifier"]),
    ("sealpod-launcher", &["sealpod-channel", "sealpod-evidence"]),
    ("sealpod-images", &["sealpod-evidence"]),
    ("sealpod-testkit", &["sealpod-evidence"]),
    ("sealpod-teesim", &["sealpod-evidence", "sealpod-testkit"]),
    ("sealpod-tests", &["sealpod-compliance", "sealpod-evidence", "sealpod-testkit", "sealpod-verifier"]),
];

/// Crates that must stay pure, and what may therefore never be among their direct dependencies.
const MUST_NOT_TOUCH: &[(&str, &[&str])] = &[
    (
        "sealpod-evidence",
        &[
            "tokio",
            "futures",
            "hyper",
            "nix",
            "libc",
            "log",
            "tracing",
            "aws-lc-rs",
            "ring",
            "sev",
            "x509-cert",
        ],
    ),
    ("sealpod-verifier", &["tokio", "futures", "hyper", "nix", "libc", "log", "tracing", "redb", "axum"]),
    (
        "sealpod-compliance",
        &["tokio", "futures", "hyper", "nix", "libc", "log", "tracing", "aws-lc-rs", "reqwest"],
    ),
    ("sealpod-channel", &["nix", "libc", "hyper"]),
];

/// Crates that never ship.
const TEST_ONLY: &[&str] = &["sealpod-testkit", "sealpod-teesim", "sealpod-tests"];

/// Source text that a pure crate may not contain outside of tests: the standard library's side effects.
const IMPURE_TEXT: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "println!",
    "eprintln!",
];

struct Dependencies {
    normal: BTreeSet<String>,
}

fn workspace() -> BTreeMap<String, Dependencies> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|d| d["kind"] != "dev")
                .map(|d| d["name"].as_str().expect("name").to_owned())
                .collect();
            (package["name"].as_str().expect("name").to_owned(), Dependencies { normal })
        })
        .collect()
}

#[test]
fn every_crate_is_in_the_table() {
    let listed: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = workspace().into_keys().collect();
    assert_eq!(listed, found);
}

#[test]
fn imports_within_the_workspace_follow_the_table() {
    let crates = workspace();
    for (name, allowed) in MAY_IMPORT {
        for import in crates[*name].normal.iter().filter(|d| d.starts_with("sealpod-")) {
            assert!(allowed.contains(&import.as_str()), "{name} must not import {import}");
        }
    }
}

#[test]
fn pure_crates_import_nothing_with_side_effects() {
    let crates = workspace();
    for (name, forbidden) in MUST_NOT_TOUCH {
        let found: Vec<_> = forbidden.iter().filter(|f| crates[*name].normal.contains(**f)).collect();
        assert!(found.is_empty(), "{name} must not import {found:?}");
    }
}

#[test]
fn nothing_that_ships_depends_on_test_code() {
    for (name, dependencies) in workspace() {
        if TEST_ONLY.contains(&name.as_str()) {
            continue;
        }
        for test_crate in TEST_ONLY {
            assert!(!dependencies.normal.contains(*test_crate), "{name} must not ship {test_crate}");
        }
    }
}

#[test]
fn pure_crates_contain_no_side_effects_in_their_source() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let mut read = 0;
    for directory in ["guest/evidence/src", "kbs/verifier/src", "kbs/compliance/src"] {
        for file in rust_files(&root.join(directory)) {
            if is_test_module(&file) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("source is readable");
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in IMPURE_TEXT {
                assert!(!shipped.contains(word), "{} must not use {word}", file.display());
            }
            read += 1;
        }
    }
    assert!(read > 10, "only {read} files were read: has the layout moved?");
}

/// A file that its crate compiles for tests only: named `tests`, or the crate's `#[cfg(test)] mod testing`.
fn is_test_module(file: &std::path::Path) -> bool {
    if file.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs") {
        return true;
    }
    let library = file.with_file_name("lib.rs");
    file.ends_with("testing.rs")
        && std::fs::read_to_string(library).is_ok_and(|text| text.contains("#[cfg(test)]\nmod testing;"))
}

fn rust_files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}
