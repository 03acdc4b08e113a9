//! What one rule came to, and how outcomes go together.

use crate::finding::{Proof, Reason, State};

/// State, and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) reasons: Vec<Reason>,
    pub(super) proofs: Vec<Proof>,
}

impl Outcome {
    pub(super) fn unknown(reason: Reason) -> Self {
        Self { state: State::Unknown, reasons: vec![reason], proofs: Vec::new() }
    }

    /// Pass or fail, by what a proof shows.
    pub(super) fn judged(holds: bool, proofs: impl Into<Vec<Proof>>) -> Self {
        let state = if holds { State::Pass } else { State::Fail };
        Self { state, reasons: Vec::new(), proofs: proofs.into() }
    }

    pub(super) fn one(holds: bool, proof: Proof) -> Self {
        Self::judged(holds, vec![proof])
    }

    /// The same, as a reason to say nothing.
    pub(super) fn not_applicable(mut self) -> Self {
        self.state = State::NotApplicable;
        self
    }

    pub(super) fn inverted(mut self) -> Self {
        self.state = match self.state {
            State::Pass => State::Fail,
            State::Fail => State::Pass,
            other => other,
        };
        self
    }

    /// Fails if one fails, else is unknown if one is, else passes if one does.
    pub(super) fn all(outcomes: impl Iterator<Item = Self>) -> Self {
        Self::first_of(outcomes, [State::Fail, State::Unknown, State::Pass, State::NotApplicable])
    }

    /// Passes if one passes, else is unknown if one is, else fails if one does.
    pub(super) fn any(outcomes: impl Iterator<Item = Self>) -> Self {
        Self::first_of(outcomes, [State::Pass, State::Unknown, State::Fail, State::NotApplicable])
    }

    /// The first of these states that an outcome has, with the reasons and proofs of all that have it.
    fn first_of(outcomes: impl Iterator<Item = Self>, order: [State; 4]) -> Self {
        let outcomes: Vec<Self> = outcomes.collect();
        let held = |state: &State| outcomes.iter().any(|outcome| outcome.state == *state);
        let state = order.into_iter().find(held).unwrap_or(State::NotApplicable);
        let mut merged = Self { state, reasons: Vec::new(), proofs: Vec::new() };
        for outcome in outcomes.into_iter().filter(|outcome| outcome.state == state) {
            for reason in outcome.reasons {
                if !merged.reasons.contains(&reason) {
                    merged.reasons.push(reason);
                }
            }
            merged.proofs.extend(outcome.proofs);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(state: State) -> Outcome {
        Outcome { state, reasons: Vec::new(), proofs: Vec::new() }
    }

    #[test]
    fn unknown_is_never_pass() {
        use State::{Fail, NotApplicable, Pass, Unknown};
        for (states, all, any) in [
            (vec![Pass, Pass], Pass, Pass),
            (vec![Pass, Fail], Fail, Pass),
            (vec![Pass, Unknown], Unknown, Pass),
            (vec![Fail, Unknown], Fail, Unknown),
            (vec![Pass, NotApplicable], Pass, Pass),
            (vec![Unknown, NotApplicable], Unknown, Unknown),
            (vec![NotApplicable], NotApplicable, NotApplicable),
        ] {
            assert_eq!(Outcome::all(states.iter().copied().map(outcome)).state, all, "{states:?}");
            assert_eq!(Outcome::any(states.iter().copied().map(outcome)).state, any, "{states:?}");
        }
        assert_eq!(outcome(Unknown).inverted().state, Unknown);
    }
}
