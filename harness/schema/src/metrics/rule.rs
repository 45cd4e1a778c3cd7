//! How a summary follows from records: the rules, and the type that a summary's rows become.

use std::collections::BTreeMap;

/// A recorded value of some metric: its round, the client that it belongs to, and itself.
pub type Value = (u32, Option<u32>, f64);

/// How a number of a summary follows from the recorded values of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The sum over clients and rounds.
    Sum,
    /// The same; none where nothing is recorded.
    SomeSum,
    /// Of what is recorded of the whole federation: the last.
    Last,
    /// The mean over clients in the last round that has values.
    ClientMean,
    /// The least of these.
    ClientMin,
    /// Their standard deviation (n - 1); 0 of a single one.
    ClientStd,
    /// How many clients they are of, where those are not all of the run's.
    SomeClients,
}

impl Rule {
    /// What a metric's values in a run with so many clients give; none where there are too few.
    pub fn apply(self, values: &[Value], clients: u32) -> Option<f64> {
        let of_clients = || by_client(values);
        match self {
            // The empty sum is -0.
            Self::Sum => Some(values.iter().map(|(_, _, value)| value).sum::<f64>() + 0.0),
            Self::SomeSum => (!values.is_empty()).then(|| values.iter().map(|(_, _, value)| value).sum()),
            Self::Last => values.iter().rfind(|(_, client, _)| client.is_none()).map(|(_, _, value)| *value),
            Self::ClientMean => mean(&of_clients()),
            Self::ClientMin => of_clients().into_iter().reduce(f64::min),
            Self::ClientStd => deviation(&of_clients()),
            Self::SomeClients => Some(of_clients().len()).filter(|some| (1..clients as usize).contains(some)).map(|n| n as f64),
        }
    }
}

/// Each client's value in the last round that has one, in the order of the clients.
fn by_client(values: &[Value]) -> Vec<f64> {
    let last = values.iter().map(|(round, ..)| *round).max();
    let in_last = values.iter().filter(|(round, ..)| Some(*round) == last);
    let of_each: BTreeMap<u32, f64> = in_last.filter_map(|(_, client, value)| Some(((*client)?, *value))).collect();
    of_each.into_values().collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    Some(if values.len() > 1 { (squares / (values.len() - 1) as f64).sqrt() } else { 0.0 })
}

/// A field of a summary made of what its rule gives.
pub(super) trait Field {
    fn follow(value: Option<f64>) -> Self;
}

impl Field for u64 {
    fn follow(value: Option<f64>) -> Self {
        value.unwrap_or_default() as u64
    }
}

impl Field for f64 {
    fn follow(value: Option<f64>) -> Self {
        value.unwrap_or_default()
    }
}

impl Field for Option<f64> {
    fn follow(value: Option<f64>) -> Self {
        value
    }
}

impl Field for Option<u32> {
    fn follow(value: Option<f64>) -> Self {
        value.map(|value| value as u32)
    }
}

/// Makes a summary of fields that a run gives and of those that follow from its records by a [`Rule`], in the order on disk.
macro_rules! summary {
    ($(
        gives { $( $(#[doc = $said:literal])* $(#[serde $given_serde:tt])? $given:ident: $given_type:ty, )* }
        follows { $( $(#[doc = $doc:literal])* $(#[serde $serde:tt])? $field:ident: $type:ty = $rule:ident($metric:ident), )* }
    )*) => {
        /// The flat summary of a run, `summary.json`.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub struct Summary {
            $(
                $( $(#[doc = $said])* $(#[serde $given_serde])? pub $given: $given_type, )*
                $( $(#[doc = $doc])* $(#[serde $serde])? pub $field: $type, )*
            )*
        }

        /// What a run gives for its summary, besides its records.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Beside {
            $( $( $(#[doc = $said])* pub $given: $given_type, )* )*
        }

        impl Summary {
            /// Of a run: what it gives, and what follows from its metrics' values.
            pub fn of(beside: Beside, values: impl Fn(&Metric) -> Vec<Value>) -> Self {
                let follow = |rule: Rule, metric| rule.apply(&values(metric), beside.clients);
                Self { $(
                    $( $field: Field::follow(follow(Rule::$rule, &Metric::$metric)), )*
                    $( $given: beside.$given, )*
                )* }
            }

            /// What does not follow from records.
            pub fn beside(&self) -> Beside {
                Beside { $( $( $given: self.$given.clone(), )* )* }
            }

            /// What follows from records: each field, its rule and of what.
            pub const RULES: &[(&str, Rule, Metric)] = &[$( $( (stringify!($field), Rule::$rule, Metric::$metric), )* )*];
        }
    };
}
pub(super) use summary;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two judged rounds of three clients, of which one was not judged in the last.
    const VALUES: &[Value] = &[
        (1, None, 0.5),
        (1, Some(0), 0.0),
        (1, Some(1), 0.25),
        (1, Some(2), 0.125),
        (2, None, 0.75),
        (2, Some(2), 0.25),
        (2, Some(0), 0.75),
    ];

    #[test]
    fn numbers_follow_by_rule() {
        let expected = [
            (Rule::Sum, 2.625),
            (Rule::Last, 0.75),
            (Rule::ClientMean, 0.5),
            (Rule::ClientMin, 0.25),
            (Rule::ClientStd, 0.125f64.sqrt()),
            (Rule::SomeClients, 2.0),
        ];
        for (rule, number) in expected {
            assert_eq!(rule.apply(VALUES, 3), Some(number), "{rule:?}");
        }
        assert_eq!(Rule::SomeClients.apply(VALUES, 2), None, "of all there are");
        assert_eq!(Rule::Last.apply(&VALUES[1..4], 3), None, "of clients alone");
    }

    #[test]
    fn nothing_follows_from_nothing() {
        for rule in [Rule::Last, Rule::ClientMean, Rule::ClientMin, Rule::ClientStd, Rule::SomeClients] {
            assert_eq!(rule.apply(&[], 3), None, "{rule:?}");
        }
        assert_eq!(Rule::Sum.apply(&[], 3).map(f64::to_bits), Some(0.0f64.to_bits()), "not -0");
        assert_eq!(Rule::ClientStd.apply(&VALUES[2..3], 3), Some(0.0), "of one client");
    }
}
