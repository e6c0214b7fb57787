//! The segment format under truncation, flipped bytes, cuts and hostile payloads.

use proptest::prelude::*;

use super::*;

const SALT: u32 = 0x5EED_5A17;

fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = SegmentHeader {
        salt: SALT,
        first_seq: Seq(7),
    }
    .encode()
    .to_vec();
    let mut starts = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        starts.push(bytes.len());
        let record = NewRecord {
            kind: 1,
            version: 2,
            partition: Partition(index as u8),
            payload,
        };
        encode_record(&mut bytes, SALT, Seq(7 + index as u64), &record);
    }
    (bytes, starts)
}

/// Offset, bytes, records lost.
type Stretch = (usize, usize, Option<u64>);

/// Sequence numbers of the intact records, and the damaged stretches.
fn scan(bytes: &[u8]) -> (Vec<u64>, Vec<Stretch>) {
    let (header, _) = SegmentHeader::decode(bytes).expect("one header copy is intact");
    let mut cursor = ScanCursor::new(header);
    let (mut seqs, mut damaged) = (Vec::new(), Vec::new());
    while let Some(found) = cursor.next(bytes) {
        match found {
            Scanned::Record(record) => seqs.push(record.seq.0),
            Scanned::Damaged {
                offset,
                bytes,
                records_lost,
                ..
            } => damaged.push((offset, bytes, records_lost)),
        }
    }
    (seqs, damaged)
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12)
}

proptest! {
    #[test]
    fn records_come_back_as_written(payloads in payloads()) {
        let (bytes, _) = segment(&payloads);
        let (header, damaged_copies) = SegmentHeader::decode(&bytes).expect("intact header");
        prop_assert_eq!(damaged_copies, 0);
        let mut cursor = ScanCursor::new(header);
        for (index, payload) in payloads.iter().enumerate() {
            let Some(Scanned::Record(record)) = cursor.next(&bytes) else {
                return Err(TestCaseError::fail("a record is missing"));
            };
            prop_assert_eq!(record.payload, payload.as_slice());
            prop_assert_eq!((record.kind, record.version, record.partition.0), (1, 2, index as u8));
            prop_assert_eq!(record.seq, Seq(7 + index as u64));
        }
        prop_assert_eq!(cursor.next(&bytes), None);
    }

    #[test]
    fn any_truncation_yields_a_prefix(payloads in payloads()) {
        let (bytes, starts) = segment(&payloads);
        for cut in SEGMENT_HEADER_BYTES..bytes.len() {
            let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
            let (seqs, damaged) = scan(&bytes[..cut]);
            prop_assert_eq!(seqs, (7..7 + whole as u64).collect::<Vec<_>>());
            let boundary = cut == SEGMENT_HEADER_BYTES || starts.contains(&cut);
            prop_assert_eq!(damaged.is_empty(), boundary, "cut at {}", cut);
        }
    }

    #[test]
    fn any_flipped_byte_loses_at_most_its_record(payloads in payloads(), flip in 1..=255u8) {
        let (bytes, starts) = segment(&payloads);
        for position in 0..bytes.len() {
            let mut damaged_bytes = bytes.clone();
            damaged_bytes[position] ^= flip;
            let hit = starts.iter().rposition(|start| *start <= position);
            let expected: Vec<u64> =
                (0..payloads.len()).filter(|index| Some(*index) != hit).map(|index| 7 + index as u64).collect();
            let (seqs, damaged) = scan(&damaged_bytes);
            prop_assert_eq!(seqs, expected, "flip at {}", position);
            prop_assert_eq!(damaged.len(), usize::from(hit.is_some()));
            if let (Some(index), Some((offset, length, lost))) = (hit, damaged.first()) {
                prop_assert_eq!(*offset, starts[index]);
                let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
                prop_assert_eq!(offset + length, end);
                prop_assert_eq!(*lost, (index + 1 < starts.len()).then_some(1));
            }
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), salt in any::<u32>()) {
        let _ = SegmentHeader::decode(&bytes);
        let mut cursor = ScanCursor::new(SegmentHeader { salt, first_seq: Seq(1) });
        let mut steps = 0;
        while cursor.next(&bytes).is_some() {
            steps += 1;
            prop_assert!(steps <= bytes.len() + 1, "a scan makes progress");
        }
    }
}

#[test]
fn cut_out_bytes_cost_only_the_records_they_held() {
    let (mut bytes, starts) = segment(&vec![vec![9u8; 30]; 8]);
    // From the middle of the third record to the middle of the fifth.
    bytes.drain(starts[2] + 10..starts[4] + 5);
    assert_eq!(scan(&bytes).0, [7, 8, 12, 13, 14]);
    // A cut along record borders leaves no damaged byte, but is still noticed.
    let (mut bytes, starts) = segment(&vec![vec![9u8; 30]; 8]);
    bytes.drain(starts[2]..starts[4]);
    assert_eq!(
        scan(&bytes),
        (vec![7, 8, 11, 12, 13, 14], vec![(starts[2], 0, Some(2))])
    );
}

#[test]
fn a_record_inside_a_payload_is_not_taken_for_one() {
    // A client that knows the format but not the salt smuggles a record into its payload.
    let mut smuggled = Vec::new();
    let fake = NewRecord {
        kind: 9,
        version: 9,
        partition: Partition(9),
        payload: b"fake",
    };
    encode_record(&mut smuggled, 0, Seq(8), &fake);
    let (mut bytes, starts) = segment(&[vec![1], smuggled, vec![2]]);
    bytes[starts[1]] ^= 0x40;
    assert_eq!(scan(&bytes).0, [7, 9]);
}

#[test]
fn headers_of_newer_programs_are_told_apart_from_damage() {
    let mut bytes = SegmentHeader {
        salt: 1,
        first_seq: Seq(1),
    }
    .encode();
    for copy in bytes.chunks_exact_mut(HEADER_COPY_BYTES) {
        copy[8..12].copy_from_slice(&2u32.to_le_bytes());
        let crc = crc32fast::hash(&copy[..28]);
        copy[28..].copy_from_slice(&crc.to_le_bytes());
    }
    assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::NewerVersion(2)));
    assert_eq!(
        SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES]),
        Err(HeaderError::Damaged)
    );
    let intact = SegmentHeader {
        salt: 1,
        first_seq: Seq(1),
    }
    .encode();
    assert_eq!(
        SegmentHeader::decode(&intact[..HEADER_COPY_BYTES]),
        Err(HeaderError::Damaged)
    );
}

#[test]
fn leading_run_stops_at_room_and_at_gaps() {
    let mut encoded = Vec::new();
    for seq in [4, 5, 6, 9] {
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: Partition(0),
            payload: &[0; 10],
        };
        encode_record(&mut encoded, SALT, Seq(seq), &record);
    }
    assert_eq!(leading_run(&encoded, Seq(4), usize::MAX), (90, Seq(7)));
    assert_eq!(leading_run(&encoded, Seq(4), 60), (60, Seq(6)));
    assert_eq!(leading_run(&encoded, Seq(4), 1), (30, Seq(5)), "one record at least");
    assert_eq!(leading_run(&encoded, Seq(3), usize::MAX), (0, Seq(3)));
    assert_eq!(leading_seq(&encoded[90..]), Some(Seq(9)));
}
