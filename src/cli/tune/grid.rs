//! What is tried: learning rates, and values of methods' own keys.

use std::collections::BTreeMap;

use federation::registry::MethodRow;
use schema::{Experiment, toml_file};
use serde_json::Value;

/// The key of the rates.
pub(super) const RATE: &str = "optimizer.learning_rate";
/// What stands before a method's own key.
const OWN: &str = "method.";

/// Values by key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// The learning rate.
    pub(super) rate: f64,
    /// A method's own keys, without `method.`.
    pub(super) own: BTreeMap<String, Value>,
}

impl Setting {
    /// An experiment with these values.
    pub(super) fn of(&self, experiment: &Experiment) -> Experiment {
        let mut trial = experiment.clone();
        trial.optimizer.learning_rate = self.rate;
        trial.method.options.extend(self.own.clone());
        trial
    }

    /// By the keys of an experiment.
    pub(super) fn by_key(&self) -> BTreeMap<String, Value> {
        let own = self.own.iter().map(|(key, value)| (format!("{OWN}{key}"), value.clone()));
        own.chain([(RATE.into(), self.rate.into())]).collect()
    }

    /// As a line has it.
    pub(super) fn words(&self) -> String {
        let own = self.own.iter().map(|(key, value)| format!(" {key} {value}")).collect::<String>();
        format!("{}{own}", self.rate)
    }
}

/// A method's own key and its values, as `--grid` gives them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Without `method.`.
    pub(super) key: String,
    /// In the order given.
    pub(super) values: Vec<Value>,
}

impl Axis {
    /// Reads `method.mu=0.001,0.01`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("--grid {}: {why}; expected `method.KEY=VALUE,VALUE`", guard::text::line(text, 80));
        let (key, list) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let key =
            key.strip_prefix(OWN).filter(|key| !key.is_empty() && *key != "name").ok_or_else(|| wrong("no method's own key"))?;
        let read = |value: &str| {
            let mut table = toml::Table::new();
            toml_file::set(&mut table, &format!("value={value}")).map_err(|error| wrong(&error.to_string()))?;
            serde_json::to_value(&table["value"]).map_err(|error| wrong(&error.to_string()))
        };
        let values = list.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
        match values.iter().enumerate().find(|(place, value)| values[..*place].contains(value)) {
            Some((_, twice)) => Err(wrong(&format!("it holds {twice} twice"))),
            None => Ok(Self { key: key.into(), values }),
        }
    }

    /// Whether a method knows the key: it takes one of the values. Values of which it takes some and not others are an error.
    fn fits(&self, experiment: &Experiment, row: &MethodRow) -> Result<bool, String> {
        let build = |value: &Value| {
            let mut options = experiment.method.options.clone();
            options.insert(self.key.clone(), value.clone());
            (row.build)(&options).map(|_| ()).map_err(|error| error.to_string())
        };
        let refused: Vec<String> = self.values.iter().filter_map(|value| build(value).err()).collect();
        match refused.first() {
            Some(why) if refused.len() < self.values.len() => Err(format!("--grid {OWN}{}: {why}", self.key)),
            refused => Ok(refused.is_none()),
        }
    }
}

/// The axes that an experiment's method knows.
pub(super) fn axes_of(axes: &[Axis], experiment: &Experiment, row: &MethodRow) -> Result<Vec<Axis>, String> {
    let mut known = Vec::new();
    for axis in axes {
        if axis.fits(experiment, row)? {
            known.push(axis.clone());
        }
    }
    Ok(known)
}

/// Every rate with every combination of the axes' values, up to so many settings in all: where these are fewer, rates are added between
/// the given ones.
pub(super) fn settings(rates: &[f64], axes: &[Axis], count: usize) -> Vec<Setting> {
    let combine = |combined: Vec<BTreeMap<String, Value>>, axis: &Axis| {
        let with = |own: &BTreeMap<String, Value>, value: &Value| {
            let mut own = own.clone();
            own.insert(axis.key.clone(), value.clone());
            own
        };
        combined.iter().flat_map(|own| axis.values.iter().map(move |value| with(own, value))).collect()
    };
    let combined = axes.iter().fold(vec![BTreeMap::new()], combine);
    let rates = filled(rates, count.div_ceil(combined.len().max(1)));
    let of_rate = |rate: f64| combined.iter().map(move |own| Setting { rate, own: own.clone() });
    let mut all: Vec<Setting> = rates.into_iter().flat_map(of_rate).collect();
    all.truncate(count.max(1));
    all
}

/// So many rates: the given ones in order, then the middles, on a scale of factors, of the widest gaps.
fn filled(rates: &[f64], count: usize) -> Vec<f64> {
    let mut all = rates.to_vec();
    while all.len() < count {
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        let gaps = sorted.windows(2).map(|pair| (pair[1] / pair[0], (pair[0] * pair[1]).sqrt()));
        let Some((_, middle)) = gaps.reduce(|widest, gap| if gap.0 > 1.01 * widest.0 { gap } else { widest }) else {
            break;
        };
        match plain(middle) {
            middle if all.contains(&middle) => break,
            middle => all.push(middle),
        }
    }
    all
}

/// The next value beyond the end at which `best` stands among positive numbers, as many times the last as that is the one before it; none
/// where it stands between others, or has none beside it.
pub(super) fn beyond(best: f64, tried: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = tried.iter().copied().filter(|value| *value > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    match sorted.as_slice() {
        [first, second, ..] if best == *first => Some(plain(first / (second / first))),
        [.., second, last] if best == *last => Some(plain(last * (last / second))),
        _ => None,
    }
}

/// Whether nothing was tried on one side of a value.
pub(super) fn is_at_edge(best: f64, tried: &[f64]) -> bool {
    !(tried.iter().any(|value| *value < best) && tried.iter().any(|value| *value > best))
}

/// A number with three digits.
fn plain(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_as_many_settings() {
        let mu = Axis::parse("method.mu=0.01,0.1").expect("an axis");
        let found = settings(&[0.001, 0.01], &[mu], 4);
        assert_eq!(
            found.iter().map(Setting::words).collect::<Vec<_>>(),
            ["0.001 mu 0.01", "0.001 mu 0.1", "0.01 mu 0.01", "0.01 mu 0.1"]
        );
        let others = settings(&[0.001, 0.01], &[], 4);
        assert_eq!(others.iter().map(|setting| setting.rate).collect::<Vec<_>>(), [0.001, 0.01, 0.00316, 0.00178]);
        assert_eq!(settings(&[0.001], &[], 3).len(), 1, "one rate has no gap");
    }

    #[test]
    fn a_grid_goes_on_by_its_own_factor() {
        assert_eq!(beyond(0.01, &[0.001, 0.005, 0.01]), Some(0.02));
        assert_eq!(beyond(0.001, &[0.005, 0.01, 0.001]), Some(0.0002));
        assert_eq!(beyond(0.005, &[0.001, 0.005, 0.01]), None);
        assert_eq!((beyond(0.01, &[0.01]), beyond(0.0, &[0.0, 0.1])), (None, None));
        assert!(is_at_edge(0.01, &[0.001, 0.01]) && !is_at_edge(0.005, &[0.001, 0.005, 0.01]) && is_at_edge(0.01, &[0.01]));
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for (text, why) in [
            ("mu=1", "no method's own key"),
            ("method.mu", "no `=`"),
            ("method.name=a,b", "no method's own key"),
            ("method.mu=1,1", "holds 1 twice"),
            ("optimizer.beta1=0.5", "no method's own key"),
        ] {
            let error = Axis::parse(text).expect_err(text);
            assert!(error.contains(why) && error.contains("expected `method.KEY=VALUE,VALUE`"), "{error}");
        }
        let text = Axis::parse("method.weights=uniform,examples").expect("texts");
        assert_eq!(text.values, ["uniform", "examples"]);
    }
}
