//! What a TPM says, and the containers that other tools put it in.

use crate::heap::within;
use sealpod_evidence::tpm::containers::{self, AkPublic};
use sealpod_evidence::tpm::{Attest, Public, Signature};

/// `TPMT_PUBLIC`, `TPMS_ATTEST` and `TPMT_SIGNATURE`: kept byte for byte.
pub fn structures(data: &[u8]) {
    if let Ok(public) = within(data.len(), 8, 8 << 10, || Public::parse(data)) {
        assert_eq!(public.raw(), data);
        let again = Public::parse(public.raw());
        assert_eq!(again.as_ref().map(Public::name), Ok(public.name()));
        let _ =
            (public.attributes(), public.auth_policy(), public.symmetric(), public.scheme(), public.key());
    }
    if let Ok(attest) = within(data.len(), 8, 8 << 10, || Attest::parse(data)) {
        assert_eq!(attest.raw(), data);
        assert!(attest.selections.iter().flat_map(|selection| selection.pcrs()).all(|pcr| pcr < 24));
    }
    if let Ok(signature) = within(data.len(), 8, 8 << 10, || Signature::parse(data)) {
        let _ = signature.hash();
    }
}

/// Quotes as tpm2-tools, Keylime, go-attestation, go-tpm-tools, Trustee and guard-oss write them.
pub fn containers(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = within(data.len(), 16, 64 << 10, || containers::keylime(text));
    }
    // JSON values are trees of small parts.
    for parse in [containers::trustee, containers::go_attestation, containers::guard] {
        let _ = within(data.len(), 64, 64 << 10, || parse(data));
    }
    let _ = within(data.len(), 16, 64 << 10, || containers::go_tpm_tools(data));
    let _ = within(data.len(), 16, 64 << 10, || containers::parse_pcr_file(data));
    let _ = within(data.len(), 8, 16 << 10, || containers::parse_signature_file(data));
    let _ = within(data.len(), 8, 16 << 10, || AkPublic::parse(data));
}
