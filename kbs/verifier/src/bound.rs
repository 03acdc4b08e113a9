//! Step 7: the report binds the challenge, the channel key and the rest of the evidence.

use crate::parts::Common;
use crate::{Check, VerifyError};
use sealpod_evidence::binding::{Bound, QUOTE_NONCE_LEN, REPORT_DATA_LEN};
use sealpod_evidence::bytes::HexArray;

/// What a quote has to carry that stands for the report: the digest over nonce, channel key and the text of the additional
/// evidence, as clients of the KBS protocol hand it to a vTPM.
pub(crate) fn whole(common: &Common<'_>) -> Result<[u8; QUOTE_NONCE_LEN], VerifyError> {
    let bound = Bound::new(common.nonce, &common.tee_pubkey)
        .map_err(|error| VerifyError::new(Check::QuoteNonce, "a channel key with a canonical form", error))?;
    let mut out = [0; QUOTE_NONCE_LEN];
    out.iter_mut().zip(bound.report_data(common.additional_text)).for_each(|(to, from)| *to = from);
    Ok(out)
}

/// The guest itself asked for the report with this data, for this nonce, this channel key and this text of vTPM evidence.
///
/// Gives what a quote for the same nonce and key has to carry.
pub(crate) fn report_data(
    common: &Common<'_>,
    found: [u8; REPORT_DATA_LEN],
) -> Result<[u8; QUOTE_NONCE_LEN], VerifyError> {
    let bound = Bound::new(common.nonce, &common.tee_pubkey)
        .map_err(|error| VerifyError::new(Check::ReportData, "a channel key with a canonical form", error))?;
    let expected = bound.report_data(common.additional_text);
    if found != expected {
        return Err(VerifyError::new(Check::ReportData, HexArray(expected), HexArray(found)));
    }
    Ok(bound.quote_nonce())
}
