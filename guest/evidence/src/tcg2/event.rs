//! One record: TCG_PCR_EVENT2 (PFP 1.06 section 10.2.2), or CC_EVENT of the CCEL, which has the same layout.

use super::{ALG_SHA1, Algorithms, BootLogError, EV_NO_ACTION, EV_PLATFORM_CONFIG_FLAGS, Layout, legacy};
use crate::reader::Reader;

/// One event, borrowed from the log.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// PCR index, or measurement register index in a CCEL. At most 23 (4) where the event is extended.
    pub pcr: u32,
    /// PFP 1.06 section 10.4.1; [`super::event_type_name`] names it.
    pub event_type: u32,
    /// What was extended, per bank.
    pub digests: Digests<'a>,
    /// What the firmware says about it. For many types this is *not* what was hashed.
    pub data: &'a [u8],
    /// Where the event starts in the log, in bytes.
    pub offset: usize,
}

/// The digests of one event: at least one, none twice.
#[derive(Debug, Clone, Copy)]
pub struct Digests<'a> {
    /// Each with its algorithm in front, or one that is SHA-1's.
    list: &'a [u8],
    count: u32,
    algorithms: Algorithms<'a>,
    layout: Layout,
}

/// Iterates over the events of a log that was checked.
#[derive(Debug, Clone)]
pub struct Events<'a> {
    records: Reader<'a>,
    left: u32,
    layout: Layout,
    algorithms: Algorithms<'a>,
}

impl<'a> Event<'a> {
    /// Whether a register was extended with this event's digests. If not, nothing vouches for the event.
    pub fn is_extended(&self) -> bool {
        self.event_type != EV_NO_ACTION
    }

    /// Whether the firmware says that this event covers ACPI tables, as EDK2 does (PFP 1.06 section 3.3.4.2; `ACPI DATA` in
    /// `EV_PLATFORM_CONFIG_FLAGS`).
    ///
    /// No register covers type and data, so this is worth what the log's origin is: a reference boot's, not a sender's.
    pub fn says_acpi_data(&self) -> bool {
        let text = self.data.strip_suffix(b"\0").unwrap_or(self.data);
        self.pcr == 1 && self.event_type == EV_PLATFORM_CONFIG_FLAGS && text == b"ACPI DATA"
    }

    pub(super) fn read(
        log: &mut Reader<'a>,
        layout: Layout,
        algorithms: Algorithms<'a>,
    ) -> Result<Self, BootLogError> {
        let offset = log.offset();
        let (pcr, event_type) = (log.le_u32()?, log.le_u32()?);
        let digests = match layout {
            Layout::TpmSha1 => Digests { list: log.take(legacy::DIGEST)?, count: 1, algorithms, layout },
            Layout::Tpm | Layout::Ccel => Digests::read(log, offset, layout, algorithms)?,
        };
        let size = log.le_u32()?;
        Ok(Self { pcr, event_type, digests, data: log.take(size as usize)?, offset })
    }
}

impl<'a> Digests<'a> {
    fn read(
        log: &mut Reader<'a>,
        offset: usize,
        layout: Layout,
        algorithms: Algorithms<'a>,
    ) -> Result<Self, BootLogError> {
        let count = log.le_u32()?;
        let expected = algorithms.iter().len() as u32;
        // Fewer than the header announces are legal in practice: Windows logs only the banks that it extends.
        if !(1..=expected).contains(&count) {
            return Err(BootLogError::DigestCount { offset, expected, found: count });
        }
        let start = log.rest();
        // One bit per row of the table, which has at most eight.
        let mut seen = 0_u8;
        for _ in 0..count {
            let found = log.le_u16()?;
            let row = algorithms.iter().enumerate().find(|(_, (id, _))| *id == found);
            let fresh = row.filter(|(position, _)| seen >> position & 1 == 0);
            let (position, (_, size)) = fresh.ok_or(BootLogError::DigestAlgorithm { offset, found })?;
            seen |= 1 << position;
            log.take(size.into())?;
        }
        let len = start.len().saturating_sub(log.rest().len());
        let list = start.get(..len).unwrap_or_default();
        Ok(Self { list, count, algorithms, layout })
    }

    /// The digest by an algorithm (TPM_ALG_ID), if the event has it.
    pub fn get(&self, algorithm: u16) -> Option<&'a [u8]> {
        self.iter().find(|(id, _)| *id == algorithm).map(|(_, digest)| digest)
    }

    /// Algorithm and digest, in the log's order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let (algorithms, layout) = (self.algorithms, self.layout);
        let mut list = Reader::new(self.list);
        // `read` went the same way over the same bytes, so this ends at the end of the list and not before.
        (0..self.count).map_while(move |_| {
            let algorithm = if layout == Layout::TpmSha1 { ALG_SHA1 } else { list.le_u16().ok()? };
            let digest = list.take(algorithms.size(algorithm)?.into()).ok()?;
            Some((algorithm, digest))
        })
    }
}

impl<'a> Events<'a> {
    pub(super) fn new(records: Reader<'a>, count: u32, layout: Layout, algorithms: Algorithms<'a>) -> Self {
        Self { records, left: count, layout, algorithms }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The log was read once with the same function: there is no error to drop here.
        Event::read(&mut self.records, self.layout, self.algorithms).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}
