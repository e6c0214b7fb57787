//! What gorse's feedback says in Swipeline's words.
//!
//! Owns the expressions `type[<|<=|>|>=value]` and the way from a feedback type to a signal. Must not know HTTP.

use swipeline_models::event::Signal;

/// How a feedback's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A feedback type, perhaps only from or up to a value: `star>=4`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expression {
    kind: String,
    bound: Option<(Comparison, f64)>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what it should look like.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a feedback type such as like or star>=4");
        let operators = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = operators
            .iter()
            .find_map(|(sign, comparison)| text.split_once(sign).map(|(kind, value)| (kind, *comparison, value)));
        let (kind, bound) = match found {
            Some((kind, comparison, value)) => {
                let value = value.trim().parse::<f64>().ok().filter(|value| value.is_finite());
                (kind.trim(), Some((comparison, value.ok_or_else(wrong)?)))
            }
            None => (text.trim(), None),
        };
        if kind.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            kind: kind.to_owned(),
            bound,
        })
    }

    /// Whether a feedback of that type and value is meant.
    pub(crate) fn matches(&self, kind: &str, value: f64) -> bool {
        self.kind == kind
            && self.bound.is_none_or(|(comparison, bound)| match comparison {
                Comparison::Less => value < bound,
                Comparison::LessOrEqual => value <= bound,
                Comparison::Greater => value > bound,
                Comparison::GreaterOrEqual => value >= bound,
            })
    }
}

/// Which feedback is good, which is only seen, which is bad.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FeedbackRules {
    positive: Vec<Expression>,
    read: Vec<Expression>,
    negative: Vec<Expression>,
}

impl FeedbackRules {
    /// Reads the three lists of the configuration.
    ///
    /// # Errors
    /// Names the first one that is no expression.
    pub(crate) fn parse(positive: &[String], read: &[String], negative: &[String]) -> Result<Self, String> {
        let all = |texts: &[String]| {
            texts
                .iter()
                .map(|text| Expression::parse(text))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            positive: all(positive)?,
            read: all(read)?,
            negative: all(negative)?,
        })
    }

    /// The signal of a feedback. What no list names counts by its own name, and as seen when that is no signal: gorse
    /// does not show a viewer what there is any feedback on.
    pub(crate) fn signal(&self, kind: &str, value: f64) -> Signal {
        let is_among = |list: &[Expression]| list.iter().any(|expression| expression.matches(kind, value));
        let by_name = Signal::from_name(&kind.to_ascii_lowercase());
        if is_among(&self.negative) {
            return by_name.filter(|signal| signal.is_negative()).unwrap_or(Signal::Dislike);
        }
        if is_among(&self.positive) {
            return by_name.filter(|signal| signal.is_positive()).unwrap_or(Signal::Like);
        }
        if is_among(&self.read) {
            return Signal::View;
        }
        by_name.unwrap_or(Signal::Impression)
    }

    /// Whether the feedback is one of those that recommend what is like it.
    pub(crate) fn is_positive(&self, kind: &str, value: f64) -> bool {
        self.signal(kind, value).is_positive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_compare_values() {
        let matches = |text: &str, value| Expression::parse(text).expect("an expression").matches("star", value);
        assert!(matches("star", 0.0) && !matches("stars", 9.0));
        assert!(matches("star>=4", 4.0) && !matches("star > 4", 4.0));
        assert!(matches("star<3", 2.9) && matches("star<=3", 3.0) && !matches("star<3", 3.0));
        for text in ["", ">=4", "star>=", "star>=many", "star>=NaN"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_feedback_is_a_signal() {
        let lists = [&["star>=4", "share"][..], &["read"][..], &["star<3"][..]]
            .map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let rules = FeedbackRules::parse(&lists[0], &lists[1], &lists[2]).expect("rules");
        let check = |kind, value, expected| assert_eq!(rules.signal(kind, value), expected, "{kind} {value}");
        check("star", 5.0, Signal::Like);
        check("star", 1.0, Signal::Dislike);
        check("star", 3.0, Signal::Impression);
        check("share", 0.0, Signal::Share);
        check("read", 1.0, Signal::View);
        check("like", 0.0, Signal::Like);
        check("thumbs", 1.0, Signal::Impression);
    }
}
