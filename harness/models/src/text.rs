//! A backbone's tokenizer and chat format.

use std::ops::Range;
use std::sync::Arc;

use data::{Rendered, Tiles};
use guard::text::line;
use tokenizers::{Encoding, ModelWrapper, Tokenizer};

use super::tokenizer::Limits;
use super::{Branch, Encoder, Sequence};
use crate::{Error, Result};

pub use super::chat::ChatFormat;

/// Tokens that an encoder puts before and behind a text.
const MARKS: usize = 2;

/// A picture's place in the feature store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The row of its first square.
    pub first: usize,
    /// Its squares, a row each.
    pub tiles: Tiles,
}

impl Shown {
    /// The rows of its squares.
    pub fn rows(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.tiles.squares()
    }
}

/// Tokenizer, chat format and special tokens.
#[derive(Debug, Clone)]
pub struct TextCodec {
    tokenizer: Arc<Tokenizer>,
    /// Where the tokenizer comes from.
    from: String,
    limits: Limits,
    /// Rows of the model's embedding.
    rows: usize,
    chat: ChatFormat,
    image_tokens: usize,
    image: u32,
    end: u32,
    begin: Option<u32>,
    /// The spelling of every special token, with the spelling that is none.
    specials: Vec<(String, String)>,
    /// Their ids, in order: no text from outside may have one.
    special_ids: Vec<u32>,
    /// Written before each part of a picture that is cut, with `{row}` and `{column}` from 1.
    before_tile: String,
    /// How an encoder is asked, which the model is then.
    encoder: Option<Encoder>,
}

impl TextCodec {
    /// A codec whose images take `image_tokens` tokens each, for a model whose embedding has so many `rows`; `from` is the tokenizer's
    /// file. A text is refused whose tokens have no row; the placeholder needs none.
    pub fn new(tokenizer: Tokenizer, from: &str, chat: ChatFormat, image_tokens: usize, rows: usize) -> Result<Self> {
        let wrong = |what: String| Error::Backbone(format!("{from}: {what}"));
        chat.check().map_err(|what| Error::Backbone(format!("chat.{what}")))?;
        let limits = Limits::of_tokenizer(&tokenizer).map_err(wrong)?;
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| wrong(format!("the tokenizer has no token `{}`, which the chat format needs", line(token, 80))))
        };
        let (image, end) = (id(&chat.image)?, id(&chat.end)?);
        let begin = chat.begin.as_deref().map(id).transpose()?;
        let specials = specials(&tokenizer, &chat);
        // What no token stands for is unknown in anybody's text.
        let unknown = unknown(&tokenizer).filter(|id| ![Some(image), Some(end), begin].contains(&Some(*id)));
        let ids = specials.iter().filter_map(|(special, _)| tokenizer.token_to_id(special));
        let mut special_ids: Vec<u32> = ids.filter(|id| Some(*id) != unknown).collect();
        special_ids.sort_unstable();
        let (tokenizer, from, before_tile) = (Arc::new(tokenizer), from.to_owned(), String::new());
        Ok(Self {
            tokenizer,
            from,
            limits,
            rows,
            chat,
            image_tokens,
            image,
            end,
            begin,
            specials,
            special_ids,
            before_tile,
            encoder: None,
        })
    }

    /// The same for pictures that may be cut: what is written before each part, with `{row}` and `{column}`.
    pub fn with_tiles(mut self, before_tile: &str) -> Self {
        self.before_tile = before_tile.into();
        self
    }

    /// The same for an encoder, which has so many pictures and limits its texts.
    pub fn of_encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = Some(encoder);
        self
    }

    /// The placeholder's id.
    pub fn image_token(&self) -> u32 {
        self.image
    }

    /// Fails if an ordinary token, begin, end or what the chat format writes has no row. An added token that has none is refused where
    /// a text asks for it.
    pub fn check_rows(&self) -> Result<()> {
        let is_special = |token: &String| self.specials.iter().any(|(special, _)| special == token);
        let ordinary = self.tokenizer.get_vocab(false).into_iter().filter(|(token, _)| !is_special(token)).map(|(_, id)| id);
        let largest = ordinary.chain([self.end]).chain(self.begin).max();
        largest.map_or(Ok(()), |id| self.check_row(id))?;
        let ChatFormat { before_image, after_image, answer, .. } = &self.chat;
        let turns = [self.turn(0), self.turn(1)].concat();
        turns.into_iter().chain([before_image.as_str(), after_image, answer]).try_for_each(|text| self.encode(text).map(|_| ()))
    }

    /// Fails if a token other than the placeholder has no row in the embedding.
    fn check_row(&self, id: u32) -> Result<()> {
        if (id as usize) < self.rows || id == self.image {
            return Ok(());
        }
        let token = line(&self.tokenizer.id_to_token(id).unwrap_or_default(), 40);
        Err(self.wrong(&format!("token id {id}, `{token}`, has no row in an embedding of {} (vocab_size)", self.rows)))
    }

    /// An error about the tokenizer.
    fn wrong(&self, what: &str) -> Error {
        Error::Backbone(format!("{}: {what}", self.from))
    }

    /// A special token, or the mark of a picture, whose spelling a text from outside holds. It is asked in other letters, never as that
    /// token.
    pub fn special_in(&self, text: &str) -> Option<&str> {
        self.specials.iter().map(|(special, _)| special.as_str()).find(|special| text.contains(special))
    }

    /// Whether the tokenizer has this token.
    pub fn has_token(&self, token: &str) -> bool {
        self.tokenizer.token_to_id(token).is_some()
    }

    /// The id that ends an answer.
    pub fn end_token(&self) -> u32 {
        self.end
    }

    /// Text to ids, no special tokens added. Fails if one of them has no row in the embedding.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encoding(text)?.get_ids().to_vec())
    }

    fn encoding(&self, text: &str) -> Result<Encoding> {
        let encoding = self.limits.encode(&self.tokenizer, text);
        let encoding = encoding.map_err(|what| Error::Backbone(format!("cannot tokenize: {what}")))?;
        encoding.get_ids().iter().try_for_each(|&id| self.check_row(id))?;
        Ok(encoding)
    }

    /// Ids to text, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.limits.decode(&self.tokenizer, ids).map_err(|what| Error::Backbone(format!("cannot decode tokens: {what}")))
    }

    /// A user's turn up to where the answer begins, at most `max_text_tokens` of text: a longer prompt loses its beginning, where
    /// the hint stands. Returns the ids and whether text was lost. Special tokens written in a dataset's text stay text.
    pub fn prefix(&self, prompt: &str, pictures: &[Tiles], max_text_tokens: usize) -> Result<(Vec<u32>, bool)> {
        if let Some(encoder) = self.encoder {
            return self.passes(encoder, prompt, pictures, max_text_tokens);
        }
        self.turns(prompt, pictures, max_text_tokens)
    }

    /// An encoder's: the text behind each picture, or alone without any.
    fn passes(&self, encoder: Encoder, prompt: &str, shown: &[Tiles], max_text_tokens: usize) -> Result<(Vec<u32>, bool)> {
        let most = max_text_tokens.min(encoder.text_tokens.saturating_sub(MARKS));
        match (encoder.pictures, shown.len()) {
            (0 | 1, 0 | 1) => self.turns(prompt, shown, most),
            (several, found) if several == found => {
                let passes = shown.iter().map(|picture| self.turns(prompt, std::slice::from_ref(picture), most));
                let passes = passes.collect::<Result<Vec<_>>>()?;
                let cut = passes.iter().any(|(_, cut)| *cut);
                Ok((passes.into_iter().flat_map(|(ids, _)| ids).collect(), cut))
            }
            (most, found) => Err(Error::Backbone(format!(
                "{found} pictures: this encoder sees {} (`num_images` in its config.json)",
                if most > 1 { format!("exactly {most} in every example") } else { "one at most".into() }
            ))),
        }
    }

    fn turns(&self, prompt: &str, pictures: &[Tiles], max_text_tokens: usize) -> Result<(Vec<u32>, bool)> {
        if self.chat.joined {
            return self.joined_prefix(prompt, pictures, max_text_tokens);
        }
        let [lead, before, after] = self.turn(pictures.len());
        let mut ids: Vec<u32> = self.begin.into_iter().collect();
        ids.extend(self.encode(lead)?);
        ids.extend(std::iter::repeat_n(self.image, squares(pictures) * self.image_tokens));
        ids.extend(self.encode(before)?);
        let text = self.plain(prompt)?;
        let kept = text.len().min(max_text_tokens);
        ids.extend(&text[text.len() - kept..]);
        ids.extend(self.encode(after)?);
        ids.extend(self.encode(&self.chat.answer)?);
        Ok((ids, kept < text.len()))
    }

    /// The same, tokenized as one text.
    fn joined_prefix(&self, prompt: &str, shown: &[Tiles], max_text_tokens: usize) -> Result<(Vec<u32>, bool)> {
        let [lead, before, after] = self.turn(shown.len());
        let (prompt, cut) = self.shortened(self.defused(prompt), max_text_tokens)?;
        let pictures: String = shown.iter().map(|&tiles| self.spelled(tiles)).collect();
        let start = lead.len() + pictures.len() + before.len();
        let encoding = self.encoding(&format!("{lead}{pictures}{before}{prompt}{after}{}", self.chat.answer))?;
        self.no_special(&encoding, start..start + prompt.len(), &prompt)?;
        let ids = encoding.get_ids().iter().copied();
        let (squares, written) = (squares(shown), ids.clone().filter(|id| *id == self.image).count());
        if squares != written {
            return Err(Error::Backbone(format!(
                "the tokenizer writes {written} tokens `{}` for {squares} pictures; it must be an added token, so that it stays whole",
                line(&self.chat.image, 80)
            )));
        }
        let spread = ids.flat_map(|id| std::iter::repeat_n(id, if id == self.image { self.image_tokens } else { 1 }));
        Ok((self.begin.into_iter().chain(spread).collect(), cut))
    }

    /// A picture as text, a placeholder for each square: the parts row by row, a line for each row, and the whole behind an empty
    /// line.
    fn spelled(&self, tiles: Tiles) -> String {
        let ChatFormat { image, before_image, after_image, .. } = &self.chat;
        let mut text = String::new();
        for row in 1..=tiles.rows {
            for column in 1..=tiles.columns {
                text += &self.before_tile.replace("{row}", &row.to_string()).replace("{column}", &column.to_string());
                text += image;
            }
            text += "\n";
        }
        let between = if tiles == Tiles::WHOLE { "" } else { "\n" };
        format!("{text}{between}{before_image}{image}{after_image}")
    }

    /// What stands before the images, between them and the prompt, and behind the prompt.
    fn turn(&self, images: usize) -> [&str; 3] {
        let turn = self.chat.turn_without_images.as_ref().filter(|_| images == 0).unwrap_or(&self.chat.turn);
        let (before, after) = turn.split_once("{prompt}").unwrap_or((turn, ""));
        let (lead, before) = before.split_once("{images}").unwrap_or(("", before));
        [lead, before, after]
    }

    /// The end of a text, `max_tokens` tokens long at most, and whether anything was lost.
    fn shortened(&self, text: String, max_tokens: usize) -> Result<(String, bool)> {
        let encoding = self.encoding(&text)?;
        self.no_special(&encoding, 0..text.len(), &text)?;
        let Some(lost) = encoding.len().checked_sub(max_tokens).filter(|&lost| lost > 0) else { return Ok((text, false)) };
        let from = encoding.get_offsets().get(lost).map_or(text.len(), |&(start, _)| start);
        // A byte-level token may begin inside a letter.
        let from = (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        Ok((text[from..].to_owned(), true))
    }

    /// An answer's ids with the end token: as they follow what stands before an answer.
    pub fn answer(&self, text: &str) -> Result<Vec<u32>> {
        let text = self.defused(&format!("{}{text}", self.chat.answer_lead));
        let mut ids = if self.chat.joined { self.continuation(&text)? } else { self.alone(&text)? };
        ids.push(self.end);
        Ok(ids)
    }

    /// The ids by which a text continues the one before the answer. (On its own, a SentencePiece tokenizer would put a space before
    /// it.)
    fn continuation(&self, text: &str) -> Result<Vec<u32>> {
        let lead = self.encode(&self.chat.answer)?;
        let before = self.chat.answer.len();
        let whole = self.encoding(&format!("{}{text}", self.chat.answer))?;
        self.no_special(&whole, before..before + text.len(), text)?;
        match whole.get_ids().strip_prefix(lead.as_slice()) {
            Some(rest) => Ok(rest.to_vec()),
            None => self.alone(text),
        }
    }

    /// The ids of a text from outside that stands alone.
    fn alone(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.encoding(text)?;
        self.no_special(&encoding, 0..text.len(), text)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Fails if a special token comes of these bytes, which are somebody's `text`: an end or a picture that nobody meant.
    fn no_special(&self, encoding: &Encoding, bytes: Range<usize>, text: &str) -> Result<()> {
        // What a normalizer puts in has no letters of its own.
        let within = |(start, end): (usize, usize)| start == end || (start < bytes.end && end > bytes.start);
        let mut tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        match tokens.find(|(id, offsets)| self.special_ids.binary_search(id).is_ok() && within(**offsets)) {
            None => Ok(()),
            Some((id, _)) => Err(Error::Backbone(format!(
                "the text `{}` holds what the tokenizer takes for its special token `{}`; such text cannot be told from the model's \
                 own marks",
                line(text, 80),
                line(&self.tokenizer.id_to_token(*id).unwrap_or_default(), 40)
            ))),
        }
    }

    /// A question as a branch of a picture: question and answer follow the image, and only the answer is read.
    pub fn dialogue(&self, question: &str, answer: &str) -> Result<Branch> {
        let (whole, _) = self.prefix(question, &[Tiles::WHOLE], usize::MAX)?;
        let mut tokens = whole[self.picture()?.len()..].to_vec();
        let read_from = tokens.len();
        tokens.extend(self.answer(answer)?);
        Ok(Branch { tokens, read_from })
    }

    /// What a picture's sequence begins with: all that stands in a turn before the first prompt, one image included.
    pub fn picture(&self) -> Result<Vec<u32>> {
        let [lead, _, _] = self.turn(1);
        let lead = self.encode(&format!("{lead}{}", self.chat.before_image))?;
        let image = std::iter::repeat_n(self.image, self.image_tokens);
        Ok(self.begin.into_iter().chain(lead).chain(image).collect())
    }

    /// The sequence that trains an example (its gold answer as the only branch), and whether its prompt was cut.
    pub fn training(&self, prompt: &Rendered, pictures: &[Shown], max_text_tokens: usize) -> Result<(Sequence, bool)> {
        self.sequence(prompt, pictures, max_text_tokens, vec![Branch::answer(self.answer(&prompt.gold_text)?)])
    }

    /// The sequence that trains an example of an encoder's, whose only answer is a class.
    pub fn classed(&self, prompt: &Rendered, pictures: &[Shown], max_text_tokens: usize, class: u32) -> Result<(Sequence, bool)> {
        self.sequence(prompt, pictures, max_text_tokens, vec![Branch::answer(vec![class])])
    }

    /// The sequence that scores an example: every option as a branch (none for free text), and whether its prompt was cut.
    pub fn scoring(&self, prompt: &Rendered, pictures: &[Shown], max_text_tokens: usize) -> Result<(Sequence, bool)> {
        let branches = prompt.targets.iter().map(|target| Ok(Branch::answer(self.answer(target)?))).collect::<Result<_>>()?;
        self.sequence(prompt, pictures, max_text_tokens, branches)
    }

    fn sequence(
        &self,
        prompt: &Rendered,
        pictures: &[Shown],
        max_text_tokens: usize,
        branches: Vec<Branch>,
    ) -> Result<(Sequence, bool)> {
        let tiles: Vec<Tiles> = pictures.iter().map(|picture| picture.tiles).collect();
        let (prefix, cut) = self.prefix(&prompt.text, &tiles, max_text_tokens)?;
        Ok((Sequence { prefix, images: pictures.iter().flat_map(Shown::rows).collect(), branches }, cut))
    }

    /// Text from outside as ids.
    fn plain(&self, text: &str) -> Result<Vec<u32>> {
        self.alone(&self.defused(text))
    }

    /// Text from outside, in which the spelling of a special token must not become that token.
    fn defused(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (special, harmless) in &self.specials {
            if text.contains(special) {
                text = text.replace(special, harmless);
            }
        }
        text
    }
}

fn squares(pictures: &[Tiles]) -> usize {
    pictures.iter().map(|tiles| tiles.squares()).sum()
}

/// The id of what no token stands for.
fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    let token = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => model.unk_token.as_deref()?,
        ModelWrapper::WordPiece(model) => &model.unk_token,
        ModelWrapper::WordLevel(model) => &model.unk_token,
        ModelWrapper::Unigram(_) => "<unk>",
    };
    tokenizer.token_to_id(token)
}

/// The chat format's and the tokenizer's special tokens, each with a space behind its first letter or its `<`.
fn specials(tokenizer: &Tokenizer, chat: &ChatFormat) -> Vec<(String, String)> {
    let mut found: Vec<String> =
        tokenizer.get_added_tokens_decoder().into_values().filter(|t| t.special).map(|t| t.content).collect();
    found.extend([Some(&chat.image), Some(&chat.end), chat.begin.as_ref()].into_iter().flatten().cloned());
    found.retain(|special| !special.trim().is_empty());
    found.sort();
    found.dedup();
    let harmless = |special: &str| match special.contains('<') {
        true => special.replace('<', "< "),
        false => special.chars().take(1).chain([' ']).chain(special.chars().skip(1)).collect(),
    };
    found.into_iter().map(|special| (harmless(&special), special)).map(|(harmless, special)| (special, harmless)).collect()
}
