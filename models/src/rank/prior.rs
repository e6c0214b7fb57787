//! The bundled model: a small network whose weights are written down, not trained.
//!
//! It ranks sensibly before the first viewer has swiped, and is replaced by a trained model through the slot. Owns the
//! tables of weights and the committed file made of them (`artifacts/ranker-v1.onnx`).
//!
//! Layer 1 turns features into pieces of evidence (some of them conjunctions: `Agreement` needs several features at
//! once), layer 2 blends evidence into themes, the output weighs themes per objective. Every piece of evidence and
//! every theme speaks either for an item or against it, and keeps its sign through both layers; hence the network is
//! monotone: no rise of a feature that speaks for an item can lower `like` or raise `skip`, and the other way round.
//! The output biases are solved so that a neutral row gets exactly the base rates.

use super::mlp::{DenseLayer, MlpError, MlpSpec};
use super::objectives::{BASE_LOGITS, OBJECTIVE_COUNT, ObjectiveRow};
use crate::features::schema::{FEATURE_COUNT, Feature, neutral_row};

/// Version of the weights below.
pub const PRIOR_MODEL_VERSION: &str = "prior-1";

/// Pieces of evidence, units of the first hidden layer. The discriminant is the unit's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Evidence {
    ShortMatch,
    LongMatch,
    InterestMismatch,
    KnownTaste,
    TagMatch,
    CategoryMatch,
    AuthorMatch,
    AffinityMismatch,
    AuthorRejected,
    FollowedAuthor,
    Agreement,
    ItemItem,
    SessionKnn,
    ContentRecall,
    CollaborativeAgreement,
    ChannelSupport,
    FollowUp,
    LikeQuality,
    CompletionQuality,
    ShareQuality,
    SkipBurden,
    MatchedQuality,
    ProvenQuality,
    Reach,
    Rising,
    Fresh,
    LikeTheSkipped,
    UnopposedNegative,
    GenerousViewer,
    ImpatientViewer,
    PatientViewer,
    LongVideo,
}

/// Themes, units of the second hidden layer. The discriminant is the unit's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Theme {
    Interest,
    Affinity,
    Collaborative,
    Relevance,
    StrongRelevance,
    Mismatch,
    Rejection,
    Quality,
    Retention,
    Burden,
    RelevantQuality,
    Momentum,
    Freshness,
    Generosity,
    Shareworthy,
    Patience,
}

const EVIDENCE_COUNT: usize = 32;
const THEME_COUNT: usize = 16;

/// A unit: which one, its bias (a negative one is a threshold), and its weighted inputs.
type Unit<Name, Input> = (Name, f32, &'static [(Input, f32)]);

/// Layer 1. Rates are scaled so that a good item reaches about 1, standardised channel scores so that two standard
/// deviations give 0.5.
#[rustfmt::skip]
const EVIDENCE: [Unit<Evidence, Feature>; EVIDENCE_COUNT] = {
    use Feature as F;
    [
        (Evidence::ShortMatch, 0.0, &[(F::ShortCosine, 1.0)]),
        (Evidence::LongMatch, 0.0, &[(F::LongCosine, 1.0)]),
        (Evidence::InterestMismatch, 0.0, &[(F::ShortCosine, -0.6), (F::LongCosine, -0.4),
            (F::LastItemSimilarity, -0.2)]),
        // The better the viewer is known, the more a match means.
        (Evidence::KnownTaste, -0.5, &[(F::ShortCosine, 0.6), (F::LongCosine, 0.4), (F::UserEventsLog, 0.3)]),
        (Evidence::TagMatch, 0.0, &[(F::TagAffinityShort, 0.6), (F::TagAffinityLong, 0.4)]),
        (Evidence::CategoryMatch, 0.0, &[(F::CategoryAffinityShort, 0.6), (F::CategoryAffinityLong, 0.4)]),
        (Evidence::AuthorMatch, 0.0, &[(F::AuthorAffinityShort, 0.6), (F::AuthorAffinityLong, 0.4)]),
        (Evidence::AffinityMismatch, 0.0, &[(F::TagAffinityShort, -0.35), (F::TagAffinityLong, -0.2),
            (F::CategoryAffinityShort, -0.3), (F::CategoryAffinityLong, -0.15)]),
        (Evidence::AuthorRejected, 0.0, &[(F::AuthorAffinityShort, -0.6), (F::AuthorAffinityLong, -0.4)]),
        (Evidence::FollowedAuthor, 0.0, &[(F::FollowsAuthor, 1.0)]),
        // Embedding, tags, category and author say the same.
        (Evidence::Agreement, -0.3, &[(F::ShortCosine, 0.3), (F::LongCosine, 0.15), (F::TagAffinityShort, 0.2),
            (F::CategoryAffinityShort, 0.2), (F::AuthorAffinityShort, 0.15)]),
        (Evidence::ItemItem, 0.0, &[(F::ChannelItemItem, 0.25)]),
        (Evidence::SessionKnn, 0.0, &[(F::ChannelSessionKnn, 0.25)]),
        (Evidence::ContentRecall, 0.0, &[(F::ChannelEmbedding, 0.15), (F::ChannelTags, 0.1)]),
        (Evidence::CollaborativeAgreement, -0.5, &[(F::ChannelItemItem, 0.25), (F::ChannelSessionKnn, 0.25)]),
        (Evidence::ChannelSupport, -0.1, &[(F::ChannelCount, 1.0)]),
        (Evidence::FollowUp, 0.0, &[(F::LastItemSimilarity, 1.0)]),
        (Evidence::LikeQuality, 0.0, &[(F::ItemLikeRate, 4.0)]),
        (Evidence::CompletionQuality, 0.0, &[(F::ItemCompletionRate, 1.0)]),
        (Evidence::ShareQuality, 0.0, &[(F::ItemShareRate, 10.0)]),
        (Evidence::SkipBurden, 0.0, &[(F::ItemSkipRate, 1.0)]),
        // Liked by others and close to this viewer.
        (Evidence::MatchedQuality, -0.6, &[(F::ShortCosine, 0.4), (F::TagAffinityShort, 0.2),
            (F::CategoryAffinityShort, 0.2), (F::ItemLikeRate, 2.0), (F::ItemCompletionRate, 0.5)]),
        // A high like rate that many impressions stand behind.
        (Evidence::ProvenQuality, -0.6, &[(F::ItemLikeRate, 4.0), (F::ImpressionsLog, 0.5)]),
        (Evidence::Reach, 0.0, &[(F::Popularity, 0.7), (F::RegionMatch, 0.2), (F::ChannelHot, 0.1)]),
        (Evidence::Rising, 0.0, &[(F::Trend, 1.0)]),
        (Evidence::Fresh, 0.0, &[(F::Freshness, 0.8), (F::IsNew, 0.4)]),
        (Evidence::LikeTheSkipped, 0.0, &[(F::NegativeSimilarity, 1.0)]),
        // Like what was skipped, and nothing in the present interest speaks for it.
        (Evidence::UnopposedNegative, -0.2, &[(F::NegativeSimilarity, 1.0), (F::ShortCosine, -0.5),
            (F::TagAffinityShort, -0.3)]),
        (Evidence::GenerousViewer, 0.0, &[(F::UserLikeRate, 4.0)]),
        (Evidence::ImpatientViewer, 0.0, &[(F::UserSkipRate, 1.0)]),
        (Evidence::PatientViewer, 0.0, &[(F::UserWatchRatio, 1.0)]),
        (Evidence::LongVideo, 0.0, &[(F::DurationLog, 1.0)]),
    ]
};

/// Layer 2.
#[rustfmt::skip]
const THEMES: [Unit<Theme, Evidence>; THEME_COUNT] = {
    use Evidence as E;
    [
        (Theme::Interest, 0.0, &[(E::ShortMatch, 1.0), (E::LongMatch, 0.6), (E::KnownTaste, 0.5)]),
        (Theme::Affinity, 0.0, &[(E::TagMatch, 0.7), (E::CategoryMatch, 0.6), (E::AuthorMatch, 0.5),
            (E::FollowedAuthor, 0.6)]),
        (Theme::Collaborative, 0.0, &[(E::ItemItem, 0.8), (E::SessionKnn, 0.8), (E::ContentRecall, 0.5),
            (E::CollaborativeAgreement, 0.5), (E::ChannelSupport, 0.5), (E::FollowUp, 0.3)]),
        // What speaks for the match, less what speaks against it.
        (Theme::Relevance, 0.0, &[(E::ShortMatch, 0.6), (E::LongMatch, 0.3), (E::TagMatch, 0.4),
            (E::CategoryMatch, 0.3), (E::Agreement, 1.0), (E::InterestMismatch, -0.6), (E::AffinityMismatch, -0.4)]),
        // Taste and crowd together: either alone stays under the threshold.
        (Theme::StrongRelevance, -1.0, &[(E::ShortMatch, 0.6), (E::TagMatch, 0.3), (E::CategoryMatch, 0.3),
            (E::Agreement, 0.8), (E::ItemItem, 0.5), (E::SessionKnn, 0.5)]),
        (Theme::Mismatch, 0.0, &[(E::InterestMismatch, 1.0), (E::AffinityMismatch, 0.8), (E::AuthorRejected, 0.8)]),
        (Theme::Rejection, 0.0, &[(E::LikeTheSkipped, 0.6), (E::UnopposedNegative, 0.8), (E::AuthorRejected, 0.4)]),
        (Theme::Quality, 0.0, &[(E::LikeQuality, 1.0), (E::CompletionQuality, 0.4), (E::ProvenQuality, 0.4),
            (E::SkipBurden, -0.4)]),
        (Theme::Retention, 0.0, &[(E::CompletionQuality, 1.0)]),
        (Theme::Burden, 0.0, &[(E::SkipBurden, 1.0), (E::ImpatientViewer, 0.6), (E::PatientViewer, -0.2)]),
        (Theme::RelevantQuality, 0.0, &[(E::MatchedQuality, 1.0), (E::Agreement, 0.5)]),
        (Theme::Momentum, 0.0, &[(E::Reach, 0.6), (E::Rising, 0.5)]),
        (Theme::Freshness, 0.0, &[(E::Fresh, 1.0)]),
        (Theme::Generosity, 0.0, &[(E::GenerousViewer, 1.0)]),
        (Theme::Shareworthy, 0.0, &[(E::ShareQuality, 1.0)]),
        (Theme::Patience, 0.6, &[(E::PatientViewer, 1.0), (E::LongVideo, -0.6)]),
    ]
};

/// Output layer: log-odds per theme for like, complete, share, skip, watch.
#[rustfmt::skip]
const OUTPUT: [(Theme, ObjectiveRow); THEME_COUNT] = [
    (Theme::Interest,        [ 1.0,   0.6,   0.6,  -0.9,   0.6 ]),
    (Theme::Affinity,        [ 0.8,   0.4,   0.6,  -0.6,   0.4 ]),
    (Theme::Collaborative,   [ 0.8,   0.4,   0.4,  -0.6,   0.4 ]),
    (Theme::Relevance,       [ 0.7,   0.5,   0.3,  -0.7,   0.5 ]),
    (Theme::StrongRelevance, [ 0.6,   0.3,   0.6,  -0.4,   0.3 ]),
    (Theme::Mismatch,        [-1.2,  -0.9,  -0.8,   1.3,  -0.9 ]),
    (Theme::Rejection,       [-1.2,  -0.9,  -0.8,   1.5,  -0.9 ]),
    (Theme::Quality,         [ 1.2,   0.3,   0.5,  -0.5,   0.3 ]),
    (Theme::Retention,       [ 0.4,   2.0,   0.3,  -0.6,   1.6 ]),
    (Theme::Burden,          [-0.6,  -1.0,  -0.4,   2.2,  -1.0 ]),
    (Theme::RelevantQuality, [ 0.8,   0.5,   0.5,  -0.5,   0.4 ]),
    (Theme::Momentum,        [ 0.3,   0.1,   0.4,  -0.1,   0.1 ]),
    (Theme::Freshness,       [ 0.15,  0.05,  0.2,  -0.05,  0.05]),
    (Theme::Generosity,      [ 1.5,   0.0,   0.3,  -0.2,   0.1 ]),
    (Theme::Shareworthy,     [ 0.2,   0.0,   2.5,  -0.1,   0.0 ]),
    (Theme::Patience,        [ 0.0,   1.2,   0.0,  -0.5,   1.4 ]),
];

/// The bundled model's file.
pub fn bundled_ranker_bytes() -> &'static [u8] {
    include_bytes!("../../artifacts/ranker-v1.onnx")
}

/// The bundled model as data: 32 features, 32 pieces of evidence, 16 themes, 5 objectives. The error is of use to
/// nobody but a developer who breaks the tables.
pub fn prior_mlp() -> Result<MlpSpec, MlpError> {
    let evidence = layer(FEATURE_COUNT, &EVIDENCE, |name| name as usize, Feature::index);
    let themes = layer(EVIDENCE_COUNT, &THEMES, |name| name as usize, |name| name as usize);
    let mut output = DenseLayer {
        weights: vec![0.0; THEME_COUNT * OBJECTIVE_COUNT],
        bias: vec![0.0; OBJECTIVE_COUNT],
        rows: THEME_COUNT,
        cols: OBJECTIVE_COUNT,
    };
    for (theme, weights) in OUTPUT {
        let start = theme as usize * OBJECTIVE_COUNT;
        output.weights[start..start + OBJECTIVE_COUNT].copy_from_slice(&weights);
    }
    let neutral_evidence = evidence.apply_relu(&neutral_row());
    let neutral_themes = themes.apply_relu(&neutral_evidence);
    for (index, base) in BASE_LOGITS.into_iter().enumerate() {
        let weights = output.weights[index..].iter().step_by(OBJECTIVE_COUNT);
        let neutral_sum: f32 = neutral_themes
            .iter()
            .zip(weights)
            .map(|(value, weight)| value * weight)
            .sum();
        output.bias[index] = base - neutral_sum;
    }
    MlpSpec::new(vec![evidence, themes, output], PRIOR_MODEL_VERSION)
}

/// A dense layer from a table of units.
fn layer<Name: Copy, Input: Copy>(
    rows: usize,
    units: &[Unit<Name, Input>],
    unit_index: impl Fn(Name) -> usize,
    input_index: impl Fn(Input) -> usize,
) -> DenseLayer {
    let cols = units.len();
    let mut layer = DenseLayer {
        weights: vec![0.0; rows * cols],
        bias: vec![0.0; cols],
        rows,
        cols,
    };
    for (name, bias, inputs) in units {
        let column = unit_index(*name);
        layer.bias[column] = *bias;
        for (input, weight) in *inputs {
            layer.weights[input_index(*input) * cols + column] = *weight;
        }
    }
    layer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rank::monotone::{check_monotone, feature_rows};
    use crate::rank::objectives::Objective;
    use crate::rank::onnx_writer::write_onnx;
    use crate::rank::ranker::RankScratch;

    fn score(row: &[f32; FEATURE_COUNT]) -> ObjectiveRow {
        let mut out = Vec::new();
        prior_mlp()
            .expect("the tables fit")
            .forward(row, 1, &mut out, &mut RankScratch::new());
        out.try_into().expect("five objectives")
    }

    #[test]
    fn tables_list_every_unit_in_order() {
        assert!(
            EVIDENCE
                .iter()
                .enumerate()
                .all(|(index, unit)| unit.0 as usize == index)
        );
        assert!(THEMES.iter().enumerate().all(|(index, unit)| unit.0 as usize == index));
        assert!(OUTPUT.iter().enumerate().all(|(index, line)| line.0 as usize == index));
    }

    #[test]
    fn every_feature_and_every_piece_of_evidence_is_used() {
        for feature in Feature::ALL {
            assert!(
                EVIDENCE
                    .iter()
                    .any(|unit| unit.2.iter().any(|input| input.0 == feature)),
                "{feature:?}"
            );
        }
        for (evidence, ..) in EVIDENCE {
            assert!(
                THEMES.iter().any(|unit| unit.2.iter().any(|input| input.0 == evidence)),
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn committed_file_is_what_the_tables_say() {
        let written = write_onnx(&prior_mlp().expect("the tables fit"));
        assert!(
            written == bundled_ranker_bytes(),
            "artifacts/ranker-v1.onnx is stale: cargo run -p swipeline-models --example write_ranker"
        );
    }

    #[test]
    fn neutral_row_gets_the_base_rates() {
        let scores = score(&neutral_row());
        for (value, rate) in scores.into_iter().zip([0.07, 0.40, 0.01, 0.35, 0.5]) {
            assert!((value - rate).abs() < 1e-4, "{scores:?}");
        }
    }

    #[test]
    fn clear_cases_are_clear() {
        let mut loved = neutral_row();
        for feature in [
            Feature::ShortCosine,
            Feature::TagAffinityShort,
            Feature::CategoryAffinityShort,
        ] {
            loved[feature.index()] = 0.7;
        }
        loved[Feature::ChannelItemItem.index()] = 2.0;
        let scores = score(&loved);
        assert!(
            scores[Objective::Like.index()] > 0.4 && scores[Objective::Skip.index()] < 0.1,
            "{scores:?}"
        );
        let mut rejected = neutral_row();
        rejected[Feature::ShortCosine.index()] = -0.5;
        rejected[Feature::NegativeSimilarity.index()] = 0.8;
        let scores = score(&rejected);
        assert!(
            scores[Objective::Like.index()] < 0.03 && scores[Objective::Skip.index()] > 0.7,
            "{scores:?}"
        );
    }

    proptest! {
        #[test]
        fn network_is_monotone(row in feature_rows(), column in 0..FEATURE_COUNT, step in 0.0_f32..1.0) {
            check_monotone(score, row, Feature::ALL[column], step)?;
        }
    }
}
