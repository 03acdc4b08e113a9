//! Logs that do not say what they are.

use super::{Bank, ByteOrder, Log};

/// The bank and byte order in which the first entry of a binary log is well formed. `None` where it is in none.
///
/// At most one fits: in the wrong byte order the PCR is out of range, and with the wrong digest size the template's name is
/// not where it should be. What is detected is a guess all the same, and nobody's word: a caller that knows the bank says so.
pub fn detect(bytes: &[u8]) -> Option<(Bank, ByteOrder)> {
    let orders = [ByteOrder::Little, ByteOrder::Big];
    let all = Bank::ALL.into_iter().flat_map(|bank| orders.map(|order| (bank, order)));
    all.into_iter().find(|(bank, order)| {
        let first = Log::new(bytes, *bank, 1).with_byte_order(*order).entries().next();
        first.is_some_and(|entry| entry.is_ok_and(|entry| entry.fields().is_ok()))
    })
}
