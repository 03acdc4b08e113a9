//! The document's table is the profiles'.

use crate::kubernetes::profile;
use sealpod_compliance::profile::{BUILTIN, roots_table};

#[test]
fn the_table_of_roots_in_the_document_is_generated() {
    let profiles: Vec<_> = BUILTIN.iter().map(|(id, _)| profile(id)).collect();
    let table = roots_table(&profiles);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compliance.md");
    let document = std::fs::read_to_string(path).unwrap();
    assert!(document.contains(&table), "docs/compliance.md should have\n{table}");
}
