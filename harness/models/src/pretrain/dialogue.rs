//! The second phase: caption and questions of a picture, through the whole model.

use candle_core::{DType, Device, Tensor};

use super::lesson::Lesson;
use crate::adapter::Untouched;
use crate::llava::Llava;
use crate::{Backbone, Batch, Branch, Result, Sequence, nn};

/// Lessons as sequences.
pub(super) struct Dialogues(Vec<Sequence>);

impl Dialogues {
    pub(super) fn new(model: &Llava, lessons: &[Lesson]) -> Result<Self> {
        lessons.iter().enumerate().map(|(i, lesson)| sequence(model, i, lesson)).collect::<Result<_>>().map(Self)
    }

    /// Caption and answer tokens.
    pub(super) fn tokens(&self) -> usize {
        self.0.iter().map(Sequence::num_targets).sum()
    }

    /// Summed negative log-likelihood of the tokens, given the pictures' features.
    pub(super) fn loss(&self, model: &Llava, features: &Tensor) -> Result<Tensor> {
        let sequences: Vec<&Sequence> = self.0.iter().collect();
        let batch = Batch::new(&sequences, model.text().image_token(), DType::F32, &Device::Cpu)?;
        let logits = model.decode(&model.embed(&batch, features)?, &Untouched)?;
        Ok(nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.neg()?)
    }
}

/// What a plain sentence begins with.
const TEXT: &str = "Text:";

/// A picture, then its caption and a plain sentence, if there are any, and each of its questions as branches.
fn sequence(model: &Llava, image: usize, lesson: &Lesson) -> Result<Sequence> {
    let text = model.text();
    let caption = lesson.caption.iter().map(|caption| text.answer(caption).map(Branch::answer));
    let mut branches = caption.collect::<Result<Vec<_>>>()?;
    if let Some(sentence) = &lesson.text {
        branches.push(plain(model, sentence)?);
    }
    for question in &lesson.questions {
        branches.push(text.dialogue(&question.question, &question.answer)?);
    }
    Ok(Sequence { prefix: text.picture()?, images: vec![image], branches })
}

fn plain(model: &Llava, sentence: &str) -> Result<Branch> {
    let mut tokens = model.text().encode(TEXT)?;
    let read_from = tokens.len();
    tokens.extend(model.text().answer(sentence)?);
    Ok(Branch { tokens, read_from })
}
