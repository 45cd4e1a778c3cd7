//! How a prompt is wrapped: the turns of a chat.

/// Characters of a piece of a chat format. (A system prompt may have some thousand.)
const MAX_PIECE: usize = 10_000;

/// How a prompt is wrapped for a backbone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatFormat {
    /// The user's turn, with `{images}` (one placeholder per image) and `{prompt}`.
    pub turn: String,
    /// The placeholder's token; it stands once for each token of an image.
    pub image: String,
    /// Written before each image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before_image: String,
    /// Written behind each image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after_image: String,
    /// The turn of a prompt without images, where it is not `turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_without_images: Option<String>,
    /// Text between the turn and the answer; the answer's tokens follow.
    pub answer: String,
    /// What an answer begins with: a space, unless `answer` ends a line.
    #[serde(default = "space", skip_serializing_if = "is_space")]
    pub answer_lead: String,
    /// The token that ends an answer.
    pub end: String,
    /// The token that begins a sequence, if any.
    pub begin: Option<String>,
    /// Whether the turn is tokenized as one text, as transformers' processors do. Otherwise what stands before, in and behind the
    /// prompt is tokenized piece by piece, as `nano` was trained.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

fn space() -> String {
    " ".into()
}

fn is_space(lead: &str) -> bool {
    lead == " "
}

impl ChatFormat {
    /// What is wrong with it; the error completes "chat.".
    pub(super) fn check(&self) -> Result<(), String> {
        let without = self.turn_without_images.as_deref().unwrap_or_default();
        let named = [
            ("turn", self.turn.as_str()),
            ("turn_without_images", without),
            ("before_image", &self.before_image),
            ("after_image", &self.after_image),
            ("answer", &self.answer),
            ("answer_lead", &self.answer_lead),
            ("end", &self.end),
            ("begin", self.begin.as_deref().unwrap_or_default()),
        ];
        for (key, piece) in named.into_iter().chain([("image", self.image.as_str())]) {
            if piece.len() > MAX_PIECE {
                return Err(format!("{key} has {} bytes; at most {MAX_PIECE} are read", piece.len()));
            }
        }
        if self.image.is_empty() {
            return Err("image is empty; expected the placeholder's token".into());
        }
        if let Some((key, _)) = named.into_iter().find(|(_, piece)| piece.contains(&self.image)) {
            return Err(format!("{key} holds the placeholder's token, which is written for each picture alone ({{images}})"));
        }
        turn("turn", &self.turn)?;
        self.turn_without_images.as_deref().map_or(Ok(()), |text| turn("turn_without_images", text))
    }
}

/// Fails unless the prompt stands in a turn once, and pictures before it, at most once.
fn turn(key: &str, turn: &str) -> Result<(), String> {
    let places = |what: &str| turn.matches(what).count();
    let (prompts, images) = (places("{prompt}"), places("{images}"));
    if prompts != 1 {
        return Err(format!("{key} holds {{prompt}} {prompts} times; expected once"));
    }
    if images > 1 || turn.find("{images}") > turn.find("{prompt}") {
        return Err(format!("{key} holds {{images}} {images} times; expected once at most, before {{prompt}}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(key: &str, value: &str) -> ChatFormat {
        let mut table = serde_json::json!({"turn": "{images}Q: {prompt}", "image": "<image>", "answer": " A:", "end": "</s>"});
        table[key] = value.into();
        serde_json::from_value(table).expect("a chat format")
    }

    #[test]
    fn a_prompt_is_written_once() {
        assert_eq!(format("end", "</s>").check(), Ok(()));
        assert_eq!(format("turn", "{prompt}").check(), Ok(()));
        let long = "x".repeat(10_001);
        for (key, value, expect) in [
            ("turn", "Q: {images}", "turn holds {prompt} 0 times; expected once"),
            ("turn", "{prompt}{prompt}", "turn holds {prompt} 2 times"),
            ("turn", "{images}{images}{prompt}", "turn holds {images} 2 times"),
            ("turn", "{prompt}{images}", "turn holds {images} 1 times; expected once at most, before {prompt}"),
            ("turn_without_images", "Q", "turn_without_images holds {prompt} 0 times"),
            ("before_image", "<image>", "before_image holds the placeholder's token"),
            ("image", "", "image is empty"),
            ("answer", long.as_str(), "answer has 10001 bytes; at most 10000 are read"),
        ] {
            let error = format(key, value).check().expect_err(expect);
            assert!(error.contains(expect), "{error}");
        }
    }
}
