//! Counting what a run costs: parameters in both ledgers, memory, time. Bytes on the link are counted in `federation/link.rs`.

pub mod clock;
pub mod memory;
pub mod parameters;
