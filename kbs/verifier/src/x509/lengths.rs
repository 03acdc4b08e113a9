//! That no element of a DER structure claims to be longer than what holds it.
//!
//! The `der` crate makes a buffer as long as an element claims to be before it looks whether so many bytes are there, and a claim may be
//! of 256 MiB. So this is looked at first.

/// Deepest nesting: certificates with vendors' extensions are a dozen deep.
const MAX_DEPTH: u8 = 32;
/// Constructed encoding (X.690 section 8.1.2.5): the content is elements again.
const CONSTRUCTED: u8 = 0x20;
/// Tags of more than one byte, which nothing here has (section 8.1.2.4).
const LONG_TAG: u8 = 0x1F;

/// Check the elements and those inside of them. What primitive ones hold is not looked at.
pub(crate) fn check(der: &[u8]) -> Result<(), String> {
    walk(der, MAX_DEPTH).map_err(str::to_owned)
}

fn walk(mut rest: &[u8], depth: u8) -> Result<(), &'static str> {
    while let Some((tag, after)) = rest.split_first() {
        if tag & LONG_TAG == LONG_TAG {
            return Err("a DER tag of more than one byte");
        }
        let (content, next) = content(after)?;
        if tag & CONSTRUCTED != 0 {
            walk(content, depth.checked_sub(1).ok_or("DER elements too deep inside each other")?)?;
        }
        rest = next;
    }
    Ok(())
}

/// Splits what follows a tag into the element's content and what comes after the element.
fn content(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    const CUT: &str = "a DER element that is longer than what holds it";
    let (first, rest) = bytes.split_first().ok_or(CUT)?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0F)).ok_or(CUT)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return Err("a DER length of another form"),
    };
    rest.split_at_checked(length).ok_or(CUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::pki;

    #[test]
    fn whole_certificates_and_lists_fit() {
        for der in [pki::ark_der(), pki::ask_der(), pki::vcek_der(), &pki::Crl::default().to_der()] {
            assert_eq!(check(der), Ok(()));
        }
    }

    #[test]
    fn an_element_that_claims_more_than_there_is_does_not() {
        let cut = Err("a DER element that is longer than what holds it".to_owned());
        for spoiled in [
            &[0x30, 3, 0x0C, 2, 1][..],
            &[0x30, 6, 0x0C, 0x84, 0x0F, 0xFF, 0xFF, 0xFF],
            &[0x0C],
            &[0x0C, 0x82, 1],
        ] {
            assert_eq!(check(spoiled), cut, "{spoiled:02x?}");
        }
        // Each element of a certificate in turn, as far as the walk comes to it.
        let der = pki::vcek_der();
        assert_eq!(check(&der[..der.len() - 1]), cut);
    }

    #[test]
    fn other_forms_and_depths_are_refused() {
        assert!(check(&[0x30, 0x80, 0, 0]).is_err());
        assert!(check(&[0x1F, 0x81, 0, 0]).is_err());
        let nested =
            |count: usize| (0..count).rev().flat_map(|inside| [0x30, 2 * inside as u8]).collect::<Vec<_>>();
        assert_eq!(check(&nested(32)), Ok(()));
        assert!(check(&nested(40)).is_err());
    }
}
