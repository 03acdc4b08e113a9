//! Texts and documents.

use crate::heap::within;
use sealpod_evidence::initdata::{Initdata, MAX_LEN};
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_verifier::reference::PackedSet;
use sealpod_verifier::{ReferenceValues, parse_body};
use std::sync::Arc;

/// Initdata: the text is kept as it is, and the policy in it can be written and read again. The TOML library keeps up to 160 bytes per
/// byte, and more than a megabyte for some short texts.
pub fn initdata(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(initdata) = within(data.len(), 200, 4 << 20, || Initdata::parse(text)) else { return };
    assert_eq!(initdata.text(), text);
    match Initdata::compose(initdata.policy()) {
        Ok(written) => assert_eq!(written.policy(), initdata.policy()),
        // Escapes may make the text longer than is read.
        Err(error) => assert!(text.len() > MAX_LEN / 8, "{error}"),
    }
}

/// The body of `/attest`: written again, it is read as the same.
pub fn body(data: &[u8]) {
    let Ok(attestation) = within(data.len(), 24, 128 << 10, || parse_body(data)) else { return };
    let written = serde_json::to_vec(&attestation).expect("JSON");
    let again = parse_body(&written).expect("what was just written");
    assert_eq!(serde_json::to_vec(&again).expect("JSON"), written);
}

/// Reference Values as the owner writes them.
pub fn reference(data: &[u8]) {
    let Ok(document) = serde_json::from_slice::<ReferenceDocument>(data) else { return };
    let written = serde_json::to_vec(&document).expect("JSON");
    assert_eq!(serde_json::from_slice::<ReferenceDocument>(&written).ok().as_ref(), Some(&document));
    let _ = ReferenceValues::from_documents(&[document]);
}

/// A packed set of files.
pub fn packed(data: &[u8]) {
    let bytes: Arc<[u8]> = data.into();
    let Ok(set) = within(data.len(), 2, 64 << 10, || PackedSet::parse(bytes)) else { return };
    let _ = (set.len(), set.image(), set.sha256());
    assert!(!set.has(b"/no/such/file", &sealpod_evidence::bytes::HexArray([0x5a; 32])) || set.len() > 0);
}
