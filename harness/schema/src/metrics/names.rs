//! Names on disk, to and fro.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::row::Row;
use super::table::{ACCURACY_OF, EXAMPLES_OF, Metric, SCORE_OF, SHARE_OF, Score, UNPARSED_RATE};

/// With which of its adapters a client answers, where it has several and is judged with their mixture. In the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// With those that never leave it alone.
    Local,
    /// With what the clients share alone.
    Shared,
}

impl Metric {
    /// Whether it is in the unit of the card's metric.
    pub fn is_of_card(&self) -> bool {
        let means = [Self::SharedClientAccuracyMean, Self::LocalClientAccuracyMean, Self::ClientAccuracyMean];
        let plain = [Self::Accuracy, Self::BlindAccuracy, Self::ClientAccuracy];
        matches!(self, Self::AccuracyOf(_)) || means.contains(self) || plain.contains(self)
    }

    /// The metric of a name on disk.
    pub fn parse(name: &str) -> Self {
        if let Some(kind) = name.strip_prefix(ACCURACY_OF) {
            return Self::AccuracyOf(kind.into());
        }
        if let Some(kind) = name.strip_prefix(EXAMPLES_OF) {
            return Self::ExamplesOf(kind.into());
        }
        if let Some(score) = name.strip_prefix(SCORE_OF) {
            return Self::ScoreOf(score.into());
        }
        if let Some(tensor) = name.strip_prefix(SHARE_OF) {
            return Self::WeightShareOf(tensor.into());
        }
        let is_it = |metric: &&Self| metric.row().is_some_and(|row| row.name == name);
        Self::ALL.iter().find(is_it).cloned().unwrap_or_else(|| Self::Unknown(name.into()))
    }

    /// Its name on disk.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::AccuracyOf(kind) => format!("{ACCURACY_OF}{kind}").into(),
            Self::ExamplesOf(kind) => format!("{EXAMPLES_OF}{kind}").into(),
            Self::ScoreOf(score) => format!("{SCORE_OF}{score}").into(),
            Self::WeightShareOf(tensor) => format!("{SHARE_OF}{tensor}").into(),
            Self::Unknown(name) => name.into(),
            known => known.row().map_or("", |row| row.name).into(),
        }
    }

    /// The mean over clients of what they answer with some of their adapters.
    pub fn client_accuracy_mean_of(variant: Variant) -> Self {
        match variant {
            Variant::Local => Self::LocalClientAccuracyMean,
            Variant::Shared => Self::SharedClientAccuracyMean,
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

impl Score {
    /// The score of a card's `metric`; none of another name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|score| score.name() == name).cloned()
    }

    /// Its name in cards.
    pub fn name(&self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// Whether it weighs several people's answers; none of what is as good for one.
    pub fn is_of_people(&self) -> Option<bool> {
        match self {
            Self::Accuracy | Self::MacroF1 | Self::BalancedAccuracy | Self::BoxAccuracy | Self::MeanIou => Some(false),
            Self::VqaAccuracy | Self::DirectAnswer => Some(true),
            Self::Cider | Self::Bleu1 | Self::Bleu2 | Self::Bleu3 | Self::Bleu4 | Self::RougeL => None,
        }
    }

    /// Whether it is one number of all answers, which single ones have none of.
    pub fn is_of_corpus(&self) -> bool {
        matches!(self, Self::MacroF1 | Self::BalancedAccuracy | Self::Bleu1 | Self::Bleu2 | Self::Bleu3 | Self::Bleu4)
    }

    /// As reports write it behind a dataset's name; none of the scores of questions, which they call accuracy.
    pub fn title(&self) -> Option<&'static str> {
        Some(match self {
            Self::Accuracy | Self::VqaAccuracy | Self::DirectAnswer => return None,
            Self::MacroF1 => "macro-F1",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::Cider => "CIDEr-D",
            Self::Bleu1 => "BLEU-1",
            Self::Bleu2 => "BLEU-2",
            Self::Bleu3 => "BLEU-3",
            Self::Bleu4 => "BLEU-4",
            Self::RougeL => "ROUGE-L",
            Self::BoxAccuracy => "acc@IoU 0.5",
            Self::MeanIou => "mean IoU",
        })
    }
}

/// The rows that `fedbench list metrics` shows: every name in records, beside those of its kind that are no records of their own.
pub fn listed() -> Vec<&'static Row> {
    let mut rows = Vec::new();
    for metric in Metric::ALL {
        match metric {
            Metric::Accuracy => rows.extend(Score::ALL.iter().filter_map(Score::row)),
            Metric::ExamplesOf(_) => rows.extend(metric.row().into_iter().chain([&UNPARSED_RATE])),
            metric => rows.extend(metric.row()),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_on_disk_comes_back() {
        let kinds =
            ["accuracy/skill=counting", "examples/context=NO", "accuracy/a=b/c=d", "score/CIDEr-D", "weight_share/image.up"];
        let known = Metric::ALL.iter().filter_map(Metric::row).map(|row| row.name);
        for name in kinds.into_iter().chain(known) {
            let metric = Metric::parse(name);
            assert_eq!(metric.name(), name);
            assert!(metric.row().is_some(), "{name}");
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!((json.as_str(), serde_json::from_str::<Metric>(&json).unwrap()), (&*format!("\"{name}\""), metric));
        }
        assert_eq!(Metric::parse(kinds[0]), Metric::AccuracyOf("skill=counting".into()));
    }

    #[test]
    fn a_name_of_a_later_version_is_kept() {
        for name in ["accuracy_top5", "client_accuracy_median", "", "Accuracy"] {
            let metric = Metric::parse(name);
            assert_eq!((metric.name().as_ref(), metric.row()), (name, None));
        }
    }

    #[test]
    fn no_two_rows_are_called_the_same() {
        let rows = listed();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
        assert!(rows.iter().all(|row| row.sentence.ends_with('.') && !row.source.is_empty()));
    }

    #[test]
    fn variants_are_recorded_by_name() {
        let names = [Variant::Local, Variant::Shared].map(|variant| Metric::client_accuracy_mean_of(variant).name().into_owned());
        assert_eq!(names, ["local_client_accuracy_mean", "shared_client_accuracy_mean"]);
    }
}
