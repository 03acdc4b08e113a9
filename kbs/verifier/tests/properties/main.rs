//! Properties of valid evidence: every byte of it counts, or is named here with the reason why it does not; and no part of it is
//! evidence.
//!
//! Each part is changed or cut where it stands, and what binds it (report data, quote, signatures of the guest's own TPM) is made anew,
//! as a guest that lies could have it made. So it is not the outermost signature alone that refuses.

mod azure;
mod snp;
mod spoil;
mod tdx;
