//! Runs the contenders round-robin and makes ratios of what they took.

use crate::identity::{Identity, KeyKind};
use crate::ours::Ours;
use crate::rustls_stack::Rustls;
use crate::stack::{Setup, Stack};

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds; in each, every contender is measured once.
    pub rounds: usize,
    /// A hundredth of the work per sample, to see that it runs.
    pub quick: bool,
}

impl Effort {
    /// `full` repetitions, or few of them.
    pub fn repeat(&self, full: usize) -> usize {
        if self.quick { (full / 100).max(1) } else { full }
    }
}

/// How to show a cost.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// The cost is in nanoseconds, shown as it is.
    Nanoseconds,
    /// The cost is in nanoseconds, shown in microseconds.
    Microseconds,
    /// The cost is in nanoseconds per so many bytes, shown in MB/s.
    BytesPer(usize),
    /// Allocations.
    Count,
    /// Bytes of memory.
    Bytes,
}

/// A line of the table: what is measured and how its cost is shown.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is done.
    pub work: String,
    /// How the cost is shown.
    pub unit: Unit,
}

impl Row {
    /// A row.
    pub fn new(work: impl Into<String>, unit: Unit) -> Self {
        Self {
            work: work.into(),
            unit,
        }
    }
}

/// One contender, ready: each call does the work once and returns its cost for each row, less is better.
pub type Sampler = Box<dyn FnMut() -> Vec<f64>>;

/// A kind of work that any stack can be made to do.
pub trait Work {
    /// The lines that a sample has values for.
    fn rows(&self) -> Vec<Row>;
    /// The kind of the server's keys.
    fn key_kind(&self) -> KeyKind {
        KeyKind::EcdsaP256
    }
    /// What both sides are configured to do.
    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a>;
    /// Gets a stack ready (handshakes, buffers, a first run).
    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler;
    /// The same work without TLS, the least that it can cost; `None` if there is no such thing.
    fn floor(&self, effort: Effort) -> Option<Sampler>;
}

/// What came out for a row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line.
    pub row: Row,
    /// Our median cost.
    pub ours: Option<f64>,
    /// The median cost of rustls.
    pub rustls: f64,
    /// Cost of rustls divided by ours: above 1, we are faster (or smaller).
    pub ratio: Option<Spread>,
    /// The same for a second rustls instead of us: has to be 1.
    pub check: Option<Spread>,
    /// Cost of the floor divided by ours.
    pub ours_of_floor: Option<f64>,
    /// Cost of the floor divided by that of rustls.
    pub rustls_of_floor: Option<f64>,
}

/// The distribution of a ratio over the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// A tenth of the rounds are below.
    pub p10: f64,
    /// Half of the rounds are below.
    pub median: f64,
    /// A tenth of the rounds are above.
    pub p90: f64,
}

impl Spread {
    /// The distribution of `values`, which may not be empty.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let at = |part: f64| values[(last as f64 * part).round() as usize];
        Self {
            p10: at(0.1),
            median: at(0.5),
            p90: at(0.9),
        }
    }

    fn of_ratios(above: &[Vec<f64>], below: &[Vec<f64>], row: usize) -> Self {
        Self::of(
            above
                .iter()
                .zip(below)
                .map(|(above, below)| above[row] / below[row])
                .collect(),
        )
    }
}

/// Rounds before everything is made anew. Where buffers lie, and how a socket's windows have grown, makes up to 10 %
/// between equal things and stays as it is for as long as they live.
const ROUNDS_PER_LIFE: usize = 4;

/// Us, rustls, rustls again, and the floor.
const CONTENDERS: usize = 4;

/// Measures one kind of work.
pub fn measure<W: Work>(work: &W, identity: &Identity, effort: Effort) -> Vec<Outcome> {
    let setup = work.setup(identity);
    let prepare = |who: usize| match who {
        0 => Ours::new(&setup).map(|stack| work.prepare(stack, effort)),
        1 | 2 => Rustls::new(&setup).map(|stack| work.prepare(stack, effort)),
        _ => work.floor(effort),
    };
    let mut samples: [Vec<Vec<f64>>; CONTENDERS] = Default::default();
    let mut contenders: [Option<Sampler>; CONTENDERS] = Default::default();
    for round in 0..effort.rounds {
        if round % ROUNDS_PER_LIFE == 0 {
            contenders = Default::default();
            for who in order(round / ROUNDS_PER_LIFE) {
                contenders[who] = prepare(who);
                // Warm: caches, the allocator, the branch predictors, lazily made tables.
                contenders[who].iter_mut().for_each(|sampler| drop(sampler()));
            }
        }
        for who in order(round) {
            if let Some(sampler) = &mut contenders[who] {
                samples[who].push(sampler());
            }
        }
    }
    let [ours, rustls, check, floor] = &samples;
    let median =
        |costs: &[Vec<f64>], row: usize| Spread::of(costs.iter().map(|cost| cost[row]).collect()).median;
    let compare = |above: &[Vec<f64>], below: &[Vec<f64>], row| {
        (!above.is_empty() && !below.is_empty()).then(|| Spread::of_ratios(above, below, row))
    };
    work.rows()
        .into_iter()
        .enumerate()
        .map(|(index, row)| Outcome {
            row,
            ours: (!ours.is_empty()).then(|| median(ours, index)),
            rustls: median(rustls, index),
            ratio: compare(rustls, ours, index),
            check: compare(rustls, check, index),
            ours_of_floor: compare(floor, ours, index).map(|spread| spread.median),
            rustls_of_floor: compare(floor, rustls, index).map(|spread| spread.median),
        })
        .collect()
}

/// Another contender begins each time, and every second time it goes backwards, so that nobody always finds the
/// caches as the same predecessor left them.
fn order(turn: usize) -> [usize; CONTENDERS] {
    let mut order = [0, 1, 2, 3];
    order.rotate_left(turn / 2 % CONTENDERS);
    if turn % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_tenth_the_middle_and_the_ninetieth_part() {
        let spread = Spread::of((0..=10).rev().map(f64::from).collect());
        assert_eq!((spread.p10, spread.median, spread.p90), (1.0, 5.0, 9.0));
    }

    #[test]
    fn everybody_goes_first_and_last_equally_often() {
        let turns: Vec<_> = (0..8).map(order).collect();
        for who in 0..CONTENDERS {
            assert_eq!(turns.iter().filter(|turn| turn[0] == who).count(), 2);
            assert_eq!(turns.iter().filter(|turn| turn[3] == who).count(), 2);
        }
    }

    #[test]
    fn twice_the_speed_is_a_ratio_of_two() {
        let rustls = vec![vec![10.0], vec![30.0], vec![20.0]];
        let ours = vec![vec![5.0], vec![15.0], vec![10.0]];
        assert_eq!(Spread::of_ratios(&rustls, &ours, 0).median, 2.0);
    }
}
