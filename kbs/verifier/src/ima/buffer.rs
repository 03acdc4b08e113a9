//! Step 14, what is no file: buffers that the kernel measured (template `ima-buf`), and signs of an earlier kernel.

use crate::error::{Check, VerifyError};
use crate::hash::sha256;
use crate::reference::ReferenceValues;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::{DigestKind, Entry, Fields, HashAlgorithm};

/// The names of buffers that only a kernel that another kernel starts, or that starts another, measures
/// (`ima_kexec_cmdline`; `ima_kexec.c`, critical data `kexec_load` and `kexec_execute`).
const KEXEC: [&[u8]; 3] = [b"kexec-cmdline", b"kexec_load", b"kexec_execute"];
/// The name of a log's first entry.
const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";

/// The template of buffers.
pub(super) const TEMPLATE: &str = "ima-buf";

/// Refuses an entry that says that the running kernel is not the one that was booted.
///
/// A kernel that is started by `kexec` may take the log of the one before over and go on with its own: behind the entries of the
/// first, it logs a boot aggregate again. The PCRs of the boot then speak of the first kernel, and nothing of the second. So
/// no Reference Value can accept these.
pub(super) fn no_kexec(entry: &Entry<'_>, name: &[u8]) -> Result<(), VerifyError> {
    let aggregate = entry.index > 0 && name == BOOT_AGGREGATE;
    let kexec = entry.template_name == TEMPLATE && KEXEC.contains(&name);
    if !(aggregate || kexec) {
        return Ok(());
    }
    let expected =
        format!("IMA entry {}: nothing of another kernel than the one that was booted", entry.index);
    let found = if aggregate {
        "a second boot_aggregate: a log carried over by kexec".to_owned()
    } else {
        String::from_utf8_lossy(name).into_owned()
    };
    Err(VerifyError::new(Check::KexecCarryOver, expected, found))
}

/// The buffer is the one that its digest says, and name and digest are a Reference Value.
///
/// Sent as another template, a buffer is a file whose path is the buffer's name, and is refused like any other that is in no set: see the
/// parent module.
pub(super) fn judge(
    entry: &Entry<'_>,
    fields: &Fields<'_>,
    name: &[u8],
    reference: &ReferenceValues,
) -> Result<(), VerifyError> {
    let refused = |expected: &str, found: String| {
        VerifyError::new(Check::MeasuredBuffer, format!("IMA entry {}: {expected}", entry.index), found)
    };
    let text = String::from_utf8_lossy(name);
    let digest = fields
        .digest
        .filter(|digest| digest.kind == DigestKind::Content && digest.algorithm == HashAlgorithm::Sha256);
    let Some(digest) = digest else {
        return Err(refused("a buffer with a SHA-256 digest", format!("another digest, of {text}")));
    };
    let computed = sha256(fields.buffer.unwrap_or_default());
    if digest.value != computed {
        let found = format!("{text} sha256:{}", hex::encode(digest.value));
        return Err(refused(&format!("the digest of the buffer, sha256:{}", HexArray(computed)), found));
    }
    match reference.buffer(name, &computed) {
        true => Ok(()),
        false => {
            let found = format!("{text} sha256:{}", HexArray(computed));
            Err(refused("a buffer that is one of the Reference Values", found))
        }
    }
}
