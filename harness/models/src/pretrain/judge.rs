//! What a backbone answers to lessons it has not seen.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use data::Tiles;

use super::lesson::{Lesson, pixels};
use crate::adapter::Untouched;
use crate::llava::Llava;
use crate::{Backbone, Batch, Branch, Result, Sequence, nn};

/// Share of questions whose right option is the likeliest, by topic: (right, asked).
pub fn judge(model: &Llava, lessons: &[Lesson]) -> Result<BTreeMap<&'static str, (usize, usize)>> {
    let mut scores: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for lesson in lessons {
        let features = model.encode(&pixels(model, std::slice::from_ref(lesson))?)?;
        for question in lesson.questions.iter().filter(|question| question.choices.len() > 1) {
            let (prefix, _) = model.text().prefix(&question.question, &[Tiles::WHOLE], usize::MAX)?;
            let branches = question
                .choices
                .iter()
                .map(|choice| Ok(Branch::answer(model.text().answer(choice)?)))
                .collect::<Result<Vec<_>>>()?;
            let sequence = Sequence { prefix, images: vec![0], branches };
            let batch = Batch::new(&[&sequence], model.text().image_token(), DType::F32, &Device::Cpu)?;
            let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
            let rows = nn::log_likelihood(&logits, &batch.targets)?.to_vec1::<f32>()?;
            let mut sums = vec![0f32; question.choices.len()];
            for (owner, row) in batch.owners.iter().zip(rows) {
                sums[owner.branch] += row;
            }
            let best = (0..sums.len()).fold(0, |best, i| if sums[i] > sums[best] { i } else { best });
            let entry = scores.entry(question.topic).or_default();
            entry.0 += usize::from(question.choices[best] == question.answer);
            entry.1 += 1;
        }
    }
    Ok(scores)
}
