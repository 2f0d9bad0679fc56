//! Fresh ids: the store's milliseconds, a counter within the millisecond, and chance. Ids made by one process sort in
//! the order they were made, so that "oldest first" holds among them exactly.

use std::sync::Mutex;

use stent_core::Timestamp;

/// How many ids fit into one millisecond before the next is borrowed: the twelve bits after the version.
const PER_MS: u16 = 1 << 12;

/// Hands out the parts of UUIDv7s.
#[derive(Debug, Default)]
pub(crate) struct IdMaker {
    last: Mutex<(u64, u16)>,
}

impl IdMaker {
    /// The milliseconds and the ten bytes of a new id, given the time and 64 random bits.
    pub(crate) fn next(&self, now: Timestamp, random: u64) -> (u64, [u8; 10]) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (ms, count) = *last;
        *last = match now.unix_ms() {
            now if now > ms => (now, 0),
            _ if count + 1 < PER_MS => (ms, count + 1),
            _ => (ms + 1, 0),
        };
        let (ms, count) = *last;
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&count.to_be_bytes());
        bytes[2..].copy_from_slice(&random.to_be_bytes());
        (ms, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stent_core::ExecutionId;

    #[test]
    fn ids_of_one_process_sort_in_the_order_they_were_made_even_if_the_clock_goes_back() {
        let maker = IdMaker::default();
        let ids: Vec<_> = (0..10_000)
            .map(|i| {
                let (ms, bytes) = maker.next(Timestamp::from_micros(5_000_000 - i), u64::MAX / (i as u64 + 1));
                ExecutionId::v7(ms, bytes)
            })
            .collect();
        assert!(ids.is_sorted());
    }
}
