//! Connections over a simulated transport: one seed is one run, the same each time.
//!
//! [`Plan::new`] makes of a seed what both sides do and what goes wrong on the way; [`World::run`] does it, on an
//! executor of its own that polls tasks in an order of the seed's choosing and fires wakeups in another, in Tokio's
//! paused time; [`judge()`] compares what the two sides saw with what the transport knows. Randomness of TLS itself stays
//! random: no length on the wire depends on it, and no rule on the bytes.

mod ends;
mod executor;
mod judge;
mod net;
mod plan;
mod record;
mod rng;
mod side;
mod stream;
mod world;

pub use judge::judge;
pub use net::{Facts, Sabotage, Told};
pub use plan::{Auth, Close, Early, Fault, How, PipePlan, Plan, Served, SidePlan, Structure};
pub use record::{Ended, Graceful, Handshake, Record, Run};
pub use world::World;
