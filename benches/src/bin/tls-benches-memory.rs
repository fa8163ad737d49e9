//! Counts allocations in a process of its own; `tls-benches` runs it. Separate, because counting costs time.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    tls_benches::memory_child::main(&INSTRUMENTED_SYSTEM);
}
