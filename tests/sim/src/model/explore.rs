//! Breadth first over every state of a model.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

/// A world with finitely many states.
pub(super) trait Model {
    /// Everything that is somewhere.
    type State: Clone + Eq + Hash + fmt::Debug;
    /// What happens.
    type Step: Copy + fmt::Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;
    /// Every step from here, with the state after it.
    fn steps(&self, state: &Self::State, steps: &mut Vec<(Self::Step, Self::State)>);
    /// True for a step that nobody may count on: a crash, a tear, a theft.
    fn is_fault(step: Self::Step) -> bool;
    /// What is wrong here, if something is.
    fn check(&self, state: &Self::State) -> Result<(), &'static str>;
    /// Whether all money is at rest.
    fn rest(&self, state: &Self::State) -> Rest;
}

/// Whether a state is an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Something has to happen yet.
    Moving,
    /// All money is where it belongs.
    Reached,
    /// The model's own bounds are used up: here it says nothing about what would follow.
    RanOut,
}

/// What was run through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// States in which all money is at rest.
    pub at_rest: usize,
    /// States in which the model's own bounds are used up: nothing is said about what would follow.
    pub ran_out: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} states, {} steps, {} at rest, {} at the model's bounds",
            self.states, self.steps, self.at_rest, self.ran_out
        )
    }
}

/// A state that breaks a rule.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is wrong.
    pub what: &'static str,
    /// The shortest way to it.
    pub way: Vec<String>,
    /// The state.
    pub state: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for step in &self.way {
            writeln!(f, "  {step}")?;
        }
        write!(f, "{}", self.state)
    }
}

/// More states than this are not small.
const STATES_MAX: usize = 1_000_000;

struct Seen<M: Model> {
    states: Vec<Rc<M::State>>,
    numbers: HashMap<Rc<M::State>, u32>,
    from: Vec<Option<(u32, M::Step)>>,
}

impl<M: Model> Seen<M> {
    fn add(&mut self, state: M::State, from: Option<(u32, M::Step)>) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = u32::try_from(self.states.len()).expect("there are fewer than STATES_MAX states");
        let state = Rc::new(state);
        self.states.push(Rc::clone(&state));
        self.numbers.insert(state, number);
        self.from.push(from);
        number
    }

    fn found(&self, what: &'static str, number: usize) -> Box<Found> {
        let mut way = Vec::new();
        let mut at = number;
        while let Some((before, step)) = self.from[at] {
            way.push(format!("{step:?}"));
            at = usize::try_from(before).unwrap_or(0);
        }
        way.reverse();
        let state = format!("{:#?}", self.states[number]);
        Box::new(Found { what, way, state })
    }
}

/// Runs through every state.
pub(super) fn explore<M: Model>(model: &M) -> Result<Summary, Box<Found>> {
    let mut seen: Seen<M> = Seen {
        states: Vec::new(),
        numbers: HashMap::new(),
        from: Vec::new(),
    };
    seen.add(model.start(), None);
    // Fault-free steps, backwards.
    let mut before: Vec<Vec<u32>> = vec![Vec::new()];
    let mut steps = Vec::new();
    let mut count = 0;
    let mut next = 0;
    while next < seen.states.len() {
        let state = Rc::clone(&seen.states[next]);
        if let Err(what) = model.check(&state) {
            return Err(seen.found(what, next));
        }
        if seen.states.len() > STATES_MAX {
            return Err(seen.found("the model is not small any more", next));
        }
        let number = u32::try_from(next).expect("there are fewer than STATES_MAX states");
        model.steps(&state, &mut steps);
        count += steps.len();
        for (step, after) in steps.drain(..) {
            let to = seen.add(after, Some((number, step)));
            before.resize_with(seen.states.len(), Vec::new);
            if !M::is_fault(step) {
                before[usize::try_from(to).unwrap_or(0)].push(number);
            }
        }
        next += 1;
    }
    let rests: Vec<Rest> = seen.states.iter().map(|it| model.rest(it)).collect();
    let of = |wanted| rests.iter().filter(|it| **it == wanted).count();
    let mut reach: Vec<usize> = (0..rests.len()).filter(|it| rests[*it] != Rest::Moving).collect();
    let mut reaches = vec![false; seen.states.len()];
    while let Some(at) = reach.pop() {
        if !std::mem::replace(&mut reaches[at], true) {
            reach.extend(before[at].iter().filter_map(|it| usize::try_from(*it).ok()));
        }
    }
    match reaches.iter().position(|it| !it) {
        Some(stuck) => Err(seen.found("from here the money never comes to rest", stuck)),
        None => Ok(Summary {
            states: seen.states.len(),
            steps: count,
            at_rest: of(Rest::Reached),
            ran_out: of(Rest::RanOut),
        }),
    }
}
