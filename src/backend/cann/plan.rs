//! A program's launches with places for its values in one arena.
//!
//! A value lives from the launch that writes it first to the last one that reads it. Values that do
//! not live at the same time share memory; the result of an elementwise operator takes the place of an
//! operand that ends there. Values of a graph's outputs lie outside: their owner keeps them.

use std::collections::HashMap;

use super::call::{Aclnn, Call};
use super::lower::{Base, Launch, Lowered, Target, lower};
use super::view::BaseId;
use crate::graph::Graph;

/// Addresses that operators like.
pub const ALIGNMENT: usize = 512;

/// A graph as launches over one arena.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The graph after expansions.
    pub graph: Graph,
    /// The buffers.
    pub bases: Vec<Base>,
    /// In order of execution.
    pub launches: Vec<Launch>,
    /// For each output of the graph, the buffer that is it.
    pub outputs: Vec<BaseId>,
    /// Where in the arena a value lies, by its buffer.
    pub offsets: HashMap<BaseId, usize>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The largest sum of the sizes of values that live at once, in the arena: no plan needs less.
    pub live_bytes: usize,
}

impl Plan {
    /// Plans a graph for a target.
    pub fn new(graph: &Graph, target: Target) -> Self {
        let Lowered {
            graph,
            bases,
            launches,
            outputs,
        } = lower(graph, target);
        let slots = slots(&bases, &launches, &outputs);
        let live_bytes = live_bytes(&slots);
        let (places, arena_bytes) = place(&slots);
        let mut offsets = HashMap::new();
        for (slot, place) in slots.iter().zip(places) {
            offsets.extend(slot.values.iter().map(|&value| (value, place)));
        }
        Self {
            graph,
            bases,
            launches,
            outputs,
            offsets,
            arena_bytes,
            live_bytes,
        }
    }

    /// Bytes that launches read and write.
    pub fn moved_bytes(&self) -> u64 {
        self.launches.iter().map(|l| l.call.bytes()).sum()
    }
}

/// Memory for values that follow each other in place.
struct Slot {
    values: Vec<BaseId>,
    bytes: usize,
    /// The first launch that writes it and the last that reads it.
    first: usize,
    last: usize,
}

impl Slot {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The values that lie in the arena.
fn slots(bases: &[Base], launches: &[Launch], outputs: &[BaseId]) -> Vec<Slot> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; bases.len()];
    for (i, launch) in launches.iter().enumerate() {
        let operands = launch.call.inputs.iter().chain(&launch.call.outputs);
        for view in operands {
            lives[view.base.0].get_or_insert((i, i)).1 = i;
        }
    }
    let mut slots: Vec<Slot> = vec![];
    let mut slot_of: Vec<Option<usize>> = vec![None; bases.len()];
    let mut order: Vec<BaseId> = (0..bases.len()).map(BaseId).collect();
    order.sort_by_key(|id| lives[id.0].map_or(0, |(first, _)| first));
    for id in order {
        let (Base::Temp(bytes), Some((first, last))) = (&bases[id.0], lives[id.0]) else {
            continue;
        };
        if outputs.contains(&id) {
            continue;
        }
        let before = taken_over(&launches[first].call, id, |other| {
            lives[other.0].is_some_and(|(_, end)| end == first) && !outputs.contains(&other)
        });
        match before.and_then(|other| slot_of[other.0]) {
            Some(slot) if slots[slot].last == first && slots[slot].bytes >= *bytes => {
                slots[slot].values.push(id);
                slots[slot].last = last;
                slot_of[id.0] = Some(slot);
            }
            _ => {
                slot_of[id.0] = Some(slots.len());
                slots.push(Slot {
                    values: vec![id],
                    bytes: bytes.next_multiple_of(ALIGNMENT),
                    first,
                    last,
                });
            }
        }
    }
    slots
}

/// The operand whose place the result of a launch may take, if there is one.
fn taken_over(call: &Call, result: BaseId, ends: impl Fn(BaseId) -> bool) -> Option<BaseId> {
    let out = &call.outputs[0];
    if out.base != result || !call.op.works_in_place() {
        return None;
    }
    let operands = call.inputs.iter();
    operands
        .filter(|view| {
            view.base != result
                && view.dtype == out.dtype
                && view.shape == out.shape
                && view.strides == out.strides
                && view.offset == out.offset
        })
        // One that another operand reads elsewhere as well must stay whole.
        .filter(|view| {
            call.inputs
                .iter()
                .all(|x| x.base != view.base || x == *view)
        })
        .map(|view| view.base)
        .find(|&base| ends(base))
}

fn live_bytes(slots: &[Slot]) -> usize {
    let last = slots.iter().map(|slot| slot.last).max();
    let mut change = vec![0isize; last.map_or(0, |last| last + 2)];
    for slot in slots {
        change[slot.first] += slot.bytes as isize;
        change[slot.last + 1] -= slot.bytes as isize;
    }
    let mut live = 0;
    let sums = change.into_iter().map(|step| {
        live += step;
        live
    });
    sums.max().unwrap_or(0) as usize
}

/// How often an order is improved.
const ATTEMPTS: usize = 60;

/// Places for slots and the size of all. A good order to place them in depends on the graph, so a few are
/// tried and improved: by size, by size and length of life, by time, and those with the slots of the
/// fullest moment first.
fn place(slots: &[Slot]) -> (Vec<usize>, usize) {
    let order = |key: &dyn Fn(&Slot) -> (bool, usize, usize)| {
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_by_key(|&i| key(&slots[i]));
        order
    };
    let fullest = fullest_moment(slots);
    let there = |slot: &Slot| slot.first <= fullest && fullest <= slot.last;
    let life = |slot: &Slot| slot.last - slot.first;
    let orders = [
        order(&|s| (false, usize::MAX - s.bytes, s.first)),
        order(&|s| (false, usize::MAX - s.bytes * life(s), s.first)),
        order(&|s| (false, s.first, 0)),
        order(&|s| (!there(s), usize::MAX - s.bytes, s.first)),
        order(&|s| (!there(s), usize::MAX - life(s), s.first)),
        order(&|s| (!there(s), s.first, usize::MAX - s.last)),
    ];
    let floor = live_bytes(slots);
    let mut best: Option<(Vec<usize>, usize)> = None;
    for mut order in orders {
        for _ in 0..ATTEMPTS {
            let (places, bytes) = place_in(slots, &order);
            let top = order
                .iter()
                .position(|&i| places[i] + slots[i].bytes == bytes);
            if best.as_ref().is_none_or(|(_, least)| bytes < *least) {
                best = Some((places, bytes));
            }
            if best.as_ref().is_some_and(|(_, least)| *least == floor) {
                break;
            }
            // What lies on top is placed earlier the next time.
            if let Some(top) = top {
                let slot = order.remove(top);
                order.insert(top / 2, slot);
            }
        }
    }
    best.expect("several orders were tried")
}

/// The launch at which the most bytes are alive.
fn fullest_moment(slots: &[Slot]) -> usize {
    let last = slots.iter().map(|slot| slot.last).max().unwrap_or(0);
    let alive = |moment: usize| {
        let there = slots
            .iter()
            .filter(|s| s.first <= moment && moment <= s.last);
        there.map(|slot| slot.bytes).sum::<usize>()
    };
    (0..=last).max_by_key(|&moment| alive(moment)).unwrap_or(0)
}

fn place_in(slots: &[Slot], order: &[usize]) -> (Vec<usize>, usize) {
    let mut places = vec![0; slots.len()];
    let mut placed: Vec<usize> = vec![];
    let mut total = 0;
    for &i in order {
        // Those in the way, by place.
        let mut others: Vec<usize> = placed
            .iter()
            .copied()
            .filter(|&other| slots[other].overlaps(&slots[i]))
            .collect();
        others.sort_by_key(|&other| places[other]);
        let mut at = 0;
        for other in others {
            if places[other] >= at + slots[i].bytes {
                break;
            }
            at = at.max(places[other] + slots[other].bytes);
        }
        places[i] = at;
        total = total.max(at + slots[i].bytes);
        placed.push(i);
    }
    (places, total)
}

/// What a plan's launches are, for people and for `inspect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Launches of all kinds.
    pub launches: usize,
    /// Launches that only move elements.
    pub copies: usize,
    /// Bytes that those read and write.
    pub copied_bytes: u64,
    /// Launches for which CANN first copies an operand into one piece.
    pub hidden_copies: usize,
    /// Bytes that it reads and writes for that.
    pub hidden_bytes: u64,
    /// Convolutions: CANN changes the format of their operands and results inside.
    pub reformatted: usize,
}

impl Plan {
    /// Counts launches.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for Launch { call, .. } in &self.launches {
            counts.launches += 1;
            if call.op.is_copy() {
                counts.copies += 1;
                counts.copied_bytes += call.bytes();
            }
            let hidden = call.hidden_bytes();
            counts.hidden_copies += usize::from(hidden > 0);
            counts.hidden_bytes += hidden;
            if matches!(call.op, Aclnn::Convolution { .. }) {
                counts.reformatted += 1;
            }
        }
        counts
    }
}
