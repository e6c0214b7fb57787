//! User rate x item rate: a logistic regression on the two running rates and their product, trained as events come.

use anyhow::Result;

use super::rates::Rates;
use crate::eval::method::{ImpressionHistory, ImpressionMethod};
use crate::eval::shown::{OUTCOME_COUNT, Outcome, Shown, moments};

/// Inputs: 1, the logit of the tab's rate, the logits of both rates less those of their priors, and their product.
const INPUTS: usize = 5;
/// Step of the gradient, divided by the root of the squared gradients so far (AdaGrad).
const STEP: f32 = 0.05;
/// A viewer's rate is one over all parts of the app: there is too little of each.
const ANY_TAB: u32 = 0;

type Inputs = [[f32; INPUTS]; OUTCOME_COUNT];

/// The row `user-item-logistic`.
#[derive(Debug, Default)]
pub(crate) struct UserItemLogistic {
    items: Rates,
    users: Rates,
    users_at_midnight: Rates,
    weights: Inputs,
    squares: Inputs,
}

impl UserItemLogistic {
    fn inputs(&self, users: &Rates, shown: &Shown) -> Inputs {
        let (item, tab) = (self.items.of(shown.item, shown.tab), self.items.of_tab(shown.tab));
        let (user, anyone) = (users.of(shown.user, ANY_TAB), users.of_tab(ANY_TAB));
        std::array::from_fn(|outcome| {
            let base = logit(tab[outcome]);
            let item = logit(item[outcome]) - base;
            let user = logit(user[outcome]) - logit(anyone[outcome]);
            [1.0, base, item, user, item * user]
        })
    }

    fn predict_by(&self, users: &Rates, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        let inputs = self.inputs(users, shown);
        std::array::from_fn(|outcome| self.probability(outcome, &inputs[outcome]))
    }

    fn probability(&self, outcome: usize, inputs: &[f32; INPUTS]) -> f32 {
        let sum: f32 = self.weights[outcome]
            .iter()
            .zip(inputs)
            .map(|(weight, input)| weight * input)
            .sum();
        1.0 / (1.0 + (-sum).exp())
    }

    fn descend(&mut self, inputs: &Inputs, labels: &[bool; OUTCOME_COUNT]) {
        for (outcome, inputs) in inputs.iter().enumerate() {
            let error = self.probability(outcome, inputs) - f32::from(u8::from(labels[outcome]));
            for (place, input) in inputs.iter().enumerate() {
                let gradient = error * input;
                let square = &mut self.squares[outcome][place];
                *square += gradient * gradient;
                self.weights[outcome][place] -= STEP * gradient / (square.sqrt() + 1e-6);
            }
        }
    }
}

impl ImpressionMethod for UserItemLogistic {
    fn name(&self) -> &str {
        "user-item-logistic"
    }

    fn fit(&mut self, history: &ImpressionHistory<'_>) -> Result<()> {
        *self = Self::default();
        for moment in moments(history.events) {
            moment.iter().for_each(|(shown, outcome)| self.learn(shown, outcome));
        }
        Ok(())
    }

    fn start_day(&mut self) {
        self.users_at_midnight = self.users.clone();
    }

    fn predict(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        self.predict_by(&self.users, shown)
    }

    fn predict_frozen(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        self.predict_by(&self.users_at_midnight, shown)
    }

    fn learn(&mut self, shown: &Shown, outcome: &Outcome) {
        let inputs = self.inputs(&self.users, shown);
        self.descend(&inputs, &outcome.labels);
        self.items.learn(shown.item, shown.tab, &outcome.labels);
        self.users.learn(shown.user, ANY_TAB, &outcome.labels);
    }
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}
