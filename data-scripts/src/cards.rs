//! The cards: one TOML file per dataset, in `data-scripts/cards`.

use schema::Card;

/// Every card by name.
pub const CARDS: &[(&str, &str)] = &[
    ("icongen", include_str!("../cards/icongen.toml")),
    ("scigen", include_str!("../cards/scigen.toml")),
    ("easy-vqa", include_str!("../cards/easy-vqa.toml")),
    ("scienceqa-img-resplit", include_str!("../cards/scienceqa-img-resplit.toml")),
    ("tabmwp", include_str!("../cards/tabmwp.toml")),
    ("iconqa-examples", include_str!("../cards/iconqa-examples.toml")),
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
    use super::*;

    #[test]
    fn every_card_parses_under_its_own_name_with_both_prompts() {
        for (name, _) in CARDS {
            let card = card(name).unwrap();
            assert_eq!(card.name, *name);
            assert!(card.prompts.contains_key("default") && card.prompts.contains_key("letters"), "{name}");
            let known = |key: &String| *key == "answer" || card.columns.tags.contains(key);
            assert!(card.partition_keys.iter().all(known), "{name}: {:?}", card.partition_keys);
        }
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        assert!(card("icogen").unwrap_err().contains("there are: icongen"));
    }
}
