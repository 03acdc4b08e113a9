//! Revocation lists (RFC 5280, section 5).

use super::Profile;
use super::certificate::{Certificate, Window};
use super::signed::{Signed, text};
use crate::{Check, UnixTime, VerifyError};
use der::Decode as _;
use x509_cert::crl::TbsCertList;
use x509_cert::ext::Extension;

/// Holds the serial numbers of `subjects` against every list that `issuer` issued; [`Lists::check`], once.
///
/// # Errors
///
/// Those of [`Lists::check`].
pub fn check(
    lists: &[Vec<u8>],
    issuer: &Certificate<'_>,
    subjects: &[&Certificate<'_>],
    required: bool,
    now: UnixTime,
) -> Result<Option<Window>, VerifyError> {
    Lists::new(lists).check(issuer, subjects, required, now)
}

/// Revocation lists that one appraisal looks at, each verified once for an issuer however many certificates it issued.
///
/// Kept is what no time and no subject can change: which lists this very issuer, byte for byte, signed. Dates and serial
/// numbers are looked at in every check.
pub struct Lists<'a> {
    received: &'a [Vec<u8>],
    /// By the issuer's certificate. The issuers are of one profile.
    verified: Vec<(&'a [u8], Vec<List>)>,
}

impl<'a> Lists<'a> {
    /// Lists as they were received. Nothing is believed of them.
    pub fn new(received: &'a [Vec<u8>]) -> Self {
        Self { received, verified: Vec::new() }
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Holds the serial numbers of `subjects` against every list that `issuer` issued.
    ///
    /// Lists of other issuers are passed over. A list that bears the issuer's name must parse, be signed by its key
    /// and not be delta or partial. Revoked serial numbers count in lists of any age, and where there are lists,
    /// one at least must be current. Gives the window of the current list that lasts longest, `None` where there
    /// is no list, which is refused if `required`.
    ///
    /// # Errors
    ///
    /// [`Check::RevocationList`], [`Check::CertificateRevoked`].
    pub fn check(
        &mut self,
        issuer: &Certificate<'a>,
        subjects: &[&Certificate<'_>],
        required: bool,
        now: UnixTime,
    ) -> Result<Option<Window>, VerifyError> {
        let mut current: Option<Window> = None;
        let mut stale = None;
        for list in self.of(issuer)? {
            for certificate in subjects {
                list.refuse_if_revoked(certificate)?;
            }
            if !(list.window.0..=list.window.1).contains(&now) {
                stale = Some(list.window);
            } else if current.is_none_or(|(_, to)| to < list.window.1) {
                current = Some(list.window);
            }
        }
        match (current, stale) {
            (None, Some((from, to))) => {
                Err(refuse(format!("only lists of other times, as from {from} to {to}, at {now}")))
            }
            (None, None) if required => Err(refuse(format!("no list of {}", issuer.subject()))),
            _ => Ok(current),
        }
    }

    /// The lists that `issuer` issued; all that bear its name must be signed by it.
    fn of(&mut self, issuer: &Certificate<'a>) -> Result<&[List], VerifyError> {
        let known = self.verified.iter().position(|(der, _)| *der == issuer.der());
        let index = if let Some(index) = known {
            index
        } else {
            let lists = self.received.iter().filter_map(|bytes| List::parse(bytes, issuer).transpose());
            self.verified.push((issuer.der(), lists.collect::<Result<_, _>>()?));
            self.verified.len().saturating_sub(1)
        };
        Ok(self.verified.get(index).map_or(&[], |(_, lists)| lists))
    }
}

/// A list of this profile's form, with its window. Not verified.
///
/// # Errors
///
/// [`Check::RevocationList`].
pub(crate) fn read(bytes: &[u8], profile: &Profile) -> Result<(TbsCertList, Window), VerifyError> {
    let signed = Signed::parse(bytes, profile.algorithms).map_err(refuse)?;
    let tbs = TbsCertList::from_der(signed.body).map_err(text).map_err(refuse)?;
    let window = window(&tbs)?;
    Ok((tbs, window))
}

/// One list whose signature was checked.
struct List {
    tbs: TbsCertList,
    window: Window,
}

impl List {
    /// `None` where the list is another issuer's.
    fn parse(bytes: &[u8], issuer: &Certificate<'_>) -> Result<Option<Self>, VerifyError> {
        let signed = match Signed::parse(bytes, issuer.profile().algorithms) {
            Ok(signed) => signed,
            // Lists of several vendors are given together; another vendor's may be signed otherwise.
            Err(_) if of_another(bytes, issuer) => return Ok(None),
            Err(found) => return Err(refuse(found)),
        };
        let tbs = TbsCertList::from_der(signed.body).map_err(text).map_err(refuse)?;
        if &tbs.issuer != issuer.subject() {
            return Ok(None);
        }
        if tbs.signature != signed.identifier {
            return Err(refuse("two different signature algorithms"));
        }
        let by_issuer = issuer.key().verifies(signed.algorithm, signed.body, &signed.signature);
        if !issuer.may_sign_lists() || !by_issuer {
            return Err(refuse("a list that the issuer's key did not sign"));
        }
        let entries = tbs.revoked_certificates.as_deref().unwrap_or_default();
        let extensions =
            tbs.crl_extensions.iter().chain(entries.iter().filter_map(|e| e.crl_entry_extensions.as_ref()));
        if let Some(unknown) = extensions.flatten().find(|extension: &&Extension| extension.critical) {
            return Err(refuse(format!("a list with the critical extension {}", unknown.extn_id)));
        }
        let window = window(&tbs)?;
        Ok(Some(Self { tbs, window }))
    }

    fn refuse_if_revoked(&self, certificate: &Certificate<'_>) -> Result<(), VerifyError> {
        let entries = self.tbs.revoked_certificates.as_deref().unwrap_or_default();
        match entries.iter().find(|entry| entry.serial_number.as_bytes() == certificate.serial()) {
            None => Ok(()),
            Some(entry) => Err(VerifyError::new(
                Check::CertificateRevoked,
                format!("{} not to be revoked", certificate.subject()),
                format!("serial {} revoked at {}", entry.serial_number, entry.revocation_date),
            )),
        }
    }
}

/// Whether this is a well-formed list that bears another name.
fn of_another(bytes: &[u8], issuer: &Certificate<'_>) -> bool {
    super::lengths::check(bytes).is_ok()
        && x509_cert::crl::CertificateList::from_der(bytes)
            .is_ok_and(|list| &list.tbs_cert_list.issuer != issuer.subject())
}

/// thisUpdate and nextUpdate; RFC 5280 demands both.
fn window(tbs: &TbsCertList) -> Result<Window, VerifyError> {
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let next = tbs.next_update.ok_or_else(|| refuse("a list without nextUpdate"))?;
    Ok((seconds(tbs.this_update), seconds(next)))
}

pub(crate) fn refuse(found: impl std::fmt::Display) -> VerifyError {
    VerifyError::new(Check::RevocationList, "a current, full revocation list signed by its issuer", found)
}
