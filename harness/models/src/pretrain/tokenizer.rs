//! The tokenizer of a small backbone.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

use crate::llava::LlavaConfig;
use crate::{Error, Result};

/// Trains a byte-level BPE of `config`'s vocabulary; the chat format's special tokens come first.
pub fn train_tokenizer(config: &LlavaConfig, corpus: impl Iterator<Item = String> + Send) -> Result<Tokenizer> {
    let failed = |error: tokenizers::Error| Error::Backbone(format!("training the tokenizer: {error}"));
    let chat = &config.chat;
    let specials: Vec<AddedToken> = std::iter::once("<pad>")
        .chain(chat.begin.as_deref())
        .chain([chat.end.as_str(), chat.image.as_str()])
        .map(|token| AddedToken::from(token, true))
        .collect();
    let trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(config.text_config.vocab_size)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(specials)
        .build();
    let mut tokenizer: Tokenizer = TokenizerBuilder::default()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(ByteLevel::default()))
        .build()
        .map(
            |built: tokenizers::TokenizerImpl<
                BPE,
                tokenizers::NormalizerWrapper,
                ByteLevel,
                tokenizers::PostProcessorWrapper,
                ByteLevel,
            >| built.into(),
        )
        .map_err(failed)?;
    tokenizer.train(&mut TrainerWrapper::from(trainer), corpus).map_err(failed)?;
    Ok(tokenizer)
}
