//! How a column may name the answer, likeliest first.

use arrow_schema::DataType;
use schema::card::{AnswerForm, ChoiceForm, Choices, MissingChoices, Scoring};

use super::glance::Glance;

/// Different answers of a set that is called closed.
const MOST_CLOSED: usize = 200;
/// Answers to a question from which on people are taken to agree or not.
const PEOPLE: usize = 3;

/// One way to read the answer.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub form: AnswerForm,
    pub choices: Choices,
    /// The choices' column, where there is one.
    pub column: Option<String>,
    pub scoring: Scoring,
    pub metric: &'static str,
    /// What is guessed, in words.
    pub said: String,
}

/// The ways to read a column of answers, beside a column of choices or without one.
pub(super) fn candidates(answer: &Glance, choices: Option<&Glance>) -> Vec<Candidate> {
    match choices {
        Some(choices) => among(answer, choices),
        None => alone(answer),
    }
}

fn among(answer: &Glance, choices: &Glance) -> Vec<Candidate> {
    let listed = matches!(choices.data_type, DataType::List(_) | DataType::Struct(_)) || choices.lists > 0;
    let form = if listed { ChoiceForm::List } else { ChoiceForm::Comma };
    let forms: &[AnswerForm] = match &answer.data_type {
        _ if answer.holds_lists() => &[AnswerForm::AnyOf],
        DataType::Boolean => &[AnswerForm::OptionText, AnswerForm::Index],
        kind if kind.is_integer() => &[AnswerForm::Index, AnswerForm::IndexFromOne, AnswerForm::OptionText],
        _ => &[AnswerForm::OptionText, AnswerForm::Letter, AnswerForm::Index, AnswerForm::IndexFromOne],
    };
    let missing = if choices.nulls > 0 { MissingChoices::Generation } else { MissingChoices::Error };
    let rest =
        if choices.nulls > 0 { "; rows without choices are answered in the model's own words (`choices.missing`)" } else { "" };
    let candidate = |form: ChoiceForm, answer_form: AnswerForm| {
        let how = in_words(answer_form);
        Candidate {
            form: answer_form,
            choices: Choices { form, values: vec![], labels_of: None, missing, image_options: image_options(choices) },
            column: Some(choices.name.clone()),
            scoring: Scoring::OptionLikelihood,
            metric: "accuracy",
            said: format!("`{}` has the choices, and `{}` says which is right: {how}{rest}", choices.name, answer.name),
        }
    };
    forms.iter().map(|&answer_form| candidate(form, answer_form)).collect()
}

/// What options are called that are pictures in columns of their own (`choice_0.png`).
fn image_options(choices: &Glance) -> Vec<String> {
    let named = |number: usize| choices.counts.keys().any(|text| text.contains(&format!("choice_{number}.")));
    (0..26).take_while(|&number| named(number)).map(|number| format!("Picture {}.", number + 1)).collect()
}

fn in_words(form: AnswerForm) -> &'static str {
    match form {
        AnswerForm::Index => "by its place, counted from 0",
        AnswerForm::IndexFromOne => "by its place, counted from 1",
        AnswerForm::Letter => "by its letter",
        AnswerForm::AnyOf => "any of a list",
        AnswerForm::Box => "a box",
        AnswerForm::OptionText | AnswerForm::Text | AnswerForm::People => "by its text",
    }
}

fn alone(answer: &Glance) -> Vec<Candidate> {
    let name = &answer.name;
    let candidate = |form, choices: Choices, metric, said: String| {
        let scoring = if choices.form == ChoiceForm::None { Scoring::Generation } else { Scoring::OptionLikelihood };
        Candidate { form, choices, column: None, scoring, metric, said }
    };
    let free = || choices_of(ChoiceForm::None, vec![]);
    if answer.holds_lists() {
        let any = candidate(AnswerForm::AnyOf, free(), "accuracy", format!("`{name}` lists right answers, any of which will do"));
        if answer.fewest < Some(PEOPLE) {
            return vec![any];
        }
        let metric = if answer.fewest > Some(PEOPLE) { "vqa-accuracy" } else { "direct-answer" };
        let said = format!(
            "`{name}` lists what several people answered; where it lists answers that are all right, `answer = \"any-of\"` and `metric = \
             \"accuracy\"`"
        );
        return vec![candidate(AnswerForm::People, free(), metric, said), any];
    }
    let closed = |values: Vec<String>, form, what: String| {
        let said = format!("every row chooses among the {} {what}", values.len());
        candidate(form, choices_of(ChoiceForm::ClosedSet, values), "accuracy", said)
    };
    if answer.data_type == DataType::Boolean {
        let values = ["no", "yes"].map(str::to_owned).to_vec();
        return vec![closed(values, AnswerForm::OptionText, format!("values of `{name}`"))];
    }
    if answer.data_type.is_integer() && answer.class_names.len() > 1 {
        return vec![closed(
            answer.class_names.clone(),
            AnswerForm::Index,
            format!("names that the files give `{name}`'s numbers"),
        )];
    }
    let values: Vec<String> =
        answer.counts.keys().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect();
    let mut all = Vec::new();
    if answer.values.is_some() && (2..=MOST_CLOSED).contains(&values.len()) && 2 * values.len() <= answer.rows {
        all.push(closed(values, AnswerForm::OptionText, format!("different answers of `{name}` (`choices.values`)")));
    }
    let said = format!("`{name}` is answered in the model's own words, and compared without case and spaces");
    all.push(candidate(AnswerForm::Text, free(), "accuracy", said));
    all
}

fn choices_of(form: ChoiceForm, values: Vec<String>) -> Choices {
    Choices { form, values, labels_of: None, missing: MissingChoices::Error, image_options: vec![] }
}
