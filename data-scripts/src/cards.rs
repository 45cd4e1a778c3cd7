//! The cards: one TOML file per dataset, in `data-scripts/cards`.

use schema::Card;

/// Every card as TOML text, by the name that a user types.
pub const CARDS: &[(&str, &str)] = &[
    ("icongen", include_str!("../cards/icongen.toml")),
    ("scigen", include_str!("../cards/scigen.toml")),
    ("icongen-boxes", include_str!("../cards/icongen-boxes.toml")),
    ("easy-vqa", include_str!("../cards/easy-vqa.toml")),
    ("scienceqa-img-resplit", include_str!("../cards/scienceqa-img-resplit.toml")),
    ("tabmwp", include_str!("../cards/tabmwp.toml")),
    ("iconqa-examples", include_str!("../cards/iconqa-examples.toml")),
    ("puzzlevqa", include_str!("../cards/puzzlevqa.toml")),
    ("puzzlevqa-captions", include_str!("../cards/puzzlevqa-captions.toml")),
    ("openclipart", include_str!("../cards/openclipart.toml")),
    ("openclipart-labels", include_str!("../cards/openclipart-labels.toml")),
    ("openclipart-captions", include_str!("../cards/openclipart-captions.toml")),
    ("scienceqa", include_str!("../cards/scienceqa.toml")),
    ("scienceqa-full", include_str!("../cards/scienceqa-full.toml")),
    ("scienceqa-img", include_str!("../cards/scienceqa-img.toml")),
    ("iconqa", include_str!("../cards/iconqa.toml")),
    ("vqav2", include_str!("../cards/vqav2.toml")),
    ("vizwiz", include_str!("../cards/vizwiz.toml")),
    ("ok-vqa", include_str!("../cards/ok-vqa.toml")),
    ("a-okvqa", include_str!("../cards/a-okvqa.toml")),
    ("a-okvqa-direct", include_str!("../cards/a-okvqa-direct.toml")),
    ("refcoco", include_str!("../cards/refcoco.toml")),
    ("gqa", include_str!("../cards/gqa.toml")),
    ("arc-challenge", include_str!("../cards/arc-challenge.toml")),
    ("hflb", include_str!("../cards/hflb.toml")),
];

/// The card of a name; otherwise what is wrong, with the names that exist, nearest first.
pub fn card(name: &str) -> Result<Card, String> {
    let Some((_, text)) = CARDS.iter().find(|(known, _)| *known == name) else {
        let names = schema::nearest(name, CARDS.iter().map(|(known, _)| *known));
        return Err(format!("there is no card `{name}`; there are: {}", names.join(", ")));
    };
    toml::from_str(text).map_err(|error| format!("cards/{name}.toml: {error}"))
}

#[cfg(test)]
mod tests {
    use schema::card::ChoiceForm;
    use schema::record::RepoKind;

    use super::*;
    use crate::hub::HubId;

    #[test]
    fn every_card_parses_under_its_own_name_with_its_prompts() {
        for (name, _) in CARDS {
            let card = card(name).unwrap();
            assert_eq!(card.name, *name);
            let letters = card.choices.form == ChoiceForm::None || card.prompts.contains_key("letters");
            assert!(card.prompts.contains_key("default") && letters, "{name}");
            let known = |key: &String| *key == "answer" || card.columns.tags.contains(key);
            assert!(card.partition_keys.iter().all(known), "{name}: {:?}", card.partition_keys);
        }
    }

    #[test]
    fn cards_of_the_hub_name_a_repository_and_its_files() {
        for (name, _) in CARDS {
            let card = card(name).unwrap();
            let Some(hub) = &card.hub else { continue };
            assert!(HubId::new(RepoKind::Dataset, hub, &card.revision).is_ok() && card.source.contains(hub.as_str()), "{name}");
            assert!(card.splits.values().all(|split| split.patterns().all(|pattern| pattern.ends_with(".parquet"))), "{name}");
            let known = |tag: &String| ["context", "grade_band"].contains(&tag.as_str()) || card.columns.tags.contains(tag);
            assert!(card.breakdowns.iter().all(known), "{name}: {:?}", card.breakdowns);
        }
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        assert!(card("icogen").unwrap_err().contains("there are: icongen"));
    }
}
