//! A backbone's tokenizer and chat format.

use tokenizers::Tokenizer;

use super::{Branch, Sequence};
use crate::data::Rendered;
use crate::{Error, Result};

/// How a prompt is wrapped for a backbone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatFormat {
    /// The user's turn, with `{images}` (one placeholder per image) and `{prompt}`.
    pub turn: String,
    /// Written for each image.
    pub image: String,
    /// Text between the turn and the answer; the answer's tokens follow.
    pub answer: String,
    /// The token that ends an answer.
    pub end: String,
    /// The token that begins a sequence, if any.
    pub begin: Option<String>,
}

/// Tokenizer, chat format and special tokens.
#[derive(Debug, Clone)]
pub struct TextCodec {
    tokenizer: Tokenizer,
    chat: ChatFormat,
    image_tokens: usize,
    image: u32,
    end: u32,
    begin: Option<u32>,
}

impl TextCodec {
    /// A codec whose images take `image_tokens` tokens each.
    pub fn new(tokenizer: Tokenizer, chat: ChatFormat, image_tokens: usize) -> Result<Self> {
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| Error::Backbone(format!("the tokenizer has no token `{token}`, which the chat format needs")))
        };
        let (image, end) = (id(&chat.image)?, id(&chat.end)?);
        let begin = chat.begin.as_deref().map(id).transpose()?;
        Ok(Self { image_tokens, image, end, begin, tokenizer, chat })
    }

    /// The placeholder's id.
    pub fn image_token(&self) -> u32 {
        self.image
    }

    /// The id that ends an answer.
    pub fn end_token(&self) -> u32 {
        self.end
    }

    /// Text to ids, no special tokens added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode(text, false).map_err(|error| Error::Backbone(format!("cannot tokenize: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids to text, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids, true).map_err(|error| Error::Backbone(format!("cannot decode tokens: {error}")))
    }

    /// A user's turn up to where the answer begins, at most `max_text_tokens` of text: a longer prompt loses its beginning, where
    /// the hint stands. Returns the ids and whether text was lost. Special tokens written in a dataset's text stay text.
    pub fn prefix(&self, prompt: &str, images: usize, max_text_tokens: usize) -> Result<(Vec<u32>, bool)> {
        let (before, after) = self.chat.turn.split_once("{prompt}").unwrap_or((&self.chat.turn, ""));
        let (lead, before) = before.split_once("{images}").unwrap_or(("", before));
        let mut ids: Vec<u32> = self.begin.into_iter().collect();
        ids.extend(self.encode(lead)?);
        ids.extend(std::iter::repeat_n(self.image, images * self.image_tokens));
        ids.extend(self.encode(before)?);
        let text = self.plain(prompt)?;
        let kept = text.len().min(max_text_tokens);
        ids.extend(&text[text.len() - kept..]);
        ids.extend(self.encode(after)?);
        ids.extend(self.encode(&self.chat.answer)?);
        Ok((ids, kept < text.len()))
    }

    /// An answer's ids with the end token.
    pub fn answer(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.plain(&format!(" {text}"))?;
        ids.push(self.end);
        Ok(ids)
    }

    /// A question as a branch of a picture: question and answer follow the image, and only the answer is read.
    pub fn dialogue(&self, question: &str, answer: &str) -> Result<Branch> {
        let (prefix, _) = self.prefix(question, 0, usize::MAX)?;
        let skip = usize::from(self.begin.is_some());
        let mut tokens = prefix[skip..].to_vec();
        let read_from = tokens.len();
        tokens.extend(self.answer(answer)?);
        Ok(Branch { tokens, read_from })
    }

    /// What a picture's sequence begins with: the begin token and one image.
    pub fn picture(&self) -> Vec<u32> {
        self.begin.into_iter().chain(std::iter::repeat_n(self.image, self.image_tokens)).collect()
    }

    /// The sequence that trains an example (its gold answer as the only branch), and whether its prompt was cut.
    pub fn training(&self, prompt: &Rendered, images: &[usize], max_text_tokens: usize) -> Result<(Sequence, bool)> {
        let (prefix, cut) = self.prefix(&prompt.text, images.len(), max_text_tokens)?;
        let branches = vec![Branch::answer(self.answer(&prompt.gold_text)?)];
        Ok((Sequence { prefix, images: images.to_vec(), branches }, cut))
    }

    /// The sequence that scores an example: every option as a branch (none for free text), and whether its prompt was cut.
    pub fn scoring(&self, prompt: &Rendered, images: &[usize], max_text_tokens: usize) -> Result<(Sequence, bool)> {
        let (prefix, cut) = self.prefix(&prompt.text, images.len(), max_text_tokens)?;
        let branches = prompt.targets.iter().map(|target| Ok(Branch::answer(self.answer(target)?))).collect::<Result<_>>()?;
        Ok((Sequence { prefix, images: images.to_vec(), branches }, cut))
    }

    /// Text from outside, in which the spelling of a special token must not become that token.
    fn plain(&self, text: &str) -> Result<Vec<u32>> {
        let specials = [Some(&self.chat.image), Some(&self.chat.end), self.chat.begin.as_ref()];
        let mut text = text.to_owned();
        for special in specials.into_iter().flatten() {
            text = text.replace(special.as_str(), &special.replace('<', "< "));
        }
        self.encode(&text)
    }
}
