//! Times as people write them.

use sealpod_verifier::UnixTime;

/// Reads RFC 3339 (`2025-07-04T10:16:31Z`, an offset in the place of `Z`, a space in the place of `T`), a date alone, or
/// `@` and seconds since 1970.
pub fn parse(text: &str) -> Result<UnixTime, String> {
    let refused = || format!("{text:?} is not a time such as 2025-07-04T10:16:31Z");
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().map_err(|_| refused());
    }
    read(text).ok_or_else(refused)
}

/// The text with every time in seconds since 1970, as ten digits, written as RFC 3339.
pub fn dated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        out.push_str(before);
        let alone = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        match digits.parse::<u64>() {
            // From 2001 to 2286.
            Ok(time) if digits.len() == 10 && alone => out.push_str(&crate::clock::rfc3339(time)),
            _ => out.push_str(digits),
        }
        rest = after;
    }
    out + rest
}

fn read(text: &str) -> Option<UnixTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let days = days(year, month, day).filter(|_| parts.next().is_none())?;
    let midnight = days.checked_mul(86_400)?;
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else { return rest.is_empty().then_some(midnight) };
    let (clock, zone) = rest.split_at_checked(8)?;
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = midnight.checked_add(hour * 3600 + minute * 60 + second.min(59))?;
    offset(fraction(zone)?, local)
}

/// What follows a fraction of a second, if there is one.
fn fraction(zone: &str) -> Option<&str> {
    let Some(rest) = zone.strip_prefix('.') else { return Some(zone) };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    if end == 0 { None } else { rest.get(end..) }
}

fn offset(zone: &str, local: u64) -> Option<UnixTime> {
    if zone == "Z" || zone == "z" {
        return Some(local);
    }
    let east = match zone.chars().next()? {
        '+' => true,
        '-' => false,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    if east { local.checked_sub(seconds) } else { local.checked_add(seconds) }
}

fn number(text: &str, digits: usize) -> Option<u64> {
    if text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Days since 1970-01-01 of a date from then on, in the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => return None,
    };
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    // Counted from March, so that the leap day is the last of a year; the inverse of `clock::civil`.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::rfc3339;

    #[test]
    fn what_is_written_is_read() {
        for time in [0, 951_782_399, 951_782_400, 951_868_800, 1_709_251_199, 4_107_542_400, 1_751_624_191] {
            assert_eq!(parse(&rfc3339(time)), Ok(time));
        }
    }

    #[test]
    fn other_spellings_of_a_time_are_read() {
        for text in [
            "2025-07-04T10:16:31Z",
            "2025-07-04 10:16:31z",
            "2025-07-04T12:16:31.250+02:00",
            "2025-07-03T23:16:31-11:00",
            "@1751624191",
        ] {
            assert_eq!(parse(text), Ok(1_751_624_191), "{text}");
        }
        assert_eq!(parse("2025-07-04"), Ok(1_751_587_200));
    }

    #[test]
    fn seconds_are_told_as_times() {
        assert_eq!(
            dated("valid from 1526899810 to 1747824610, a1526899810 15268998101"),
            "valid from 2018-05-21T10:50:10Z to 2025-05-21T10:50:10Z, a1526899810 15268998101"
        );
        assert_eq!(dated("none"), "none");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2025",
            "2025-13-01",
            "2025-02-29",
            "1969-12-31",
            "2025-07-04T25:00:00Z",
            "2025-07-04T10:16Z",
            "2025-07-04T10:16:31",
            "2025-07-04T10:16:31.Z",
            "2025-07-04T10:16:31+2",
            "2025-07-04x",
            "@-1",
            "２０２５-07-04",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
