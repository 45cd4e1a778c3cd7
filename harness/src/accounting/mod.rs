//! Counting what a run costs: parameters in both ledgers, operations, memory, time. Bytes on the link are counted in `federation/link.rs`.

pub mod clock;
pub mod flops;
pub mod memory;
pub mod parameters;
