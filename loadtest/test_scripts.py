"""What the scripts of loadtest/ make of figures: python3 -m unittest discover loadtest"""

import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "comparison"), str(HERE / "ghz"), str(HERE / "killing")]

import comparing  # noqa: E402
import embedded  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
import waag  # noqa: E402

COLUMNS = ["declarant", "lrn", "value_hundredths", "goods_items"]


def delimited(*messages):
    return b"".join(bytes([len(message)]) + message for message in messages)


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


class Ghz(unittest.TestCase):
    def test_batches_declarations_and_lines_are_counted(self):
        item = field(2, b"\x08\x01")
        one = field(5, field(1, b"L1") + item + item)
        # Field 6 is what declarations share, and none itself.
        batch = field(1, b"id") + b"\x20\x02" + one + field(6, item) + field(5, item)
        with tempfile.NamedTemporaryFile() as file:
            file.write(delimited(batch, field(1, b"empty")))
            file.flush()
            self.assertEqual(report.sizes(file.name), (2, 2, 3))

    def test_counters_of_all_declarants_are_added(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"accepted": "3", "acceptedLines": "7"}\n{"accepted": "1", "replayed": "2"}\n')
            file.flush()
            found = report.counted(file.name)
        wanted = {"accepted": 4, "rejected": 0, "replayed": 2, "conflicts": 0, "accepted_lines": 7}
        self.assertEqual(found, wanted)


class Comparison(unittest.TestCase):
    def result(self, sink=400, own=200, database=20):
        systems = {"in-place": {"rates": [sink, 1, 10_000]}, "waag": {"rates": [own]},
                   "postgresql": {"rates": [database]}, "duckdb": {"not_run": "it is not there"}}
        results.add_ratios(systems)
        return {"burst": systems}

    def test_ratios_are_of_medians_and_of_what_ran(self):
        burst = self.result()["burst"]
        self.assertEqual(burst["in-place"]["lines_per_second"], 400)
        self.assertEqual((burst["waag"]["of_in_place"], burst["waag"]["of_postgresql"]), (0.5, 10.0))
        self.assertIsNone(burst["duckdb"]["of_postgresql"])

    def test_goals_are_met_missed_or_not_measured(self):
        latency = {"p50_ms": 5.5, "p99_ms": 19.0}
        found = results.goals({**self.result(database=26), "latency": latency})
        self.assertEqual([goal["is_met"] for goal in found], [True, False, None, False, True, None, None])

    def test_a_run_in_which_sealing_fell_behind_is_no_sustained_one(self):
        sustained = {"lines_per_second": 150, "kept_up": False}
        self.assertIsNone(results.goals({**self.result(), "sustained": sustained})[2]["is_met"])
        sustained["kept_up"] = True
        self.assertTrue(results.goals({**self.result(), "sustained": sustained})[2]["is_met"])

    def test_a_sustained_rate_is_that_of_the_last_three_quarters(self):
        def sample(at_s, lines, journal):
            return {"at_s": at_s, "lines": lines, "disk_bytes": {"journal": journal}}

        samples = [sample(1, 100, 0), sample(2, 250, 4 << 20), sample(12, 500, 5 << 20), sample(32, 1_000, 6 << 20)]
        found = waag.sustained({
            "lines": 1_000, "seconds": 32.0, "lines_per_second": 31, "samples": samples, "refusals": 0,
            "settings": {"bytes_per_line": 100.0}, "resident_bytes_max": 0,
        })
        self.assertEqual((found["lines_per_second"], found["measured_over_s"]), (25, 30))
        self.assertEqual(found["journal_growth_share"], round((2 << 20) / 75_000, 3))

    def test_the_first_row_of_a_key_stays_and_empty_is_no_null(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "rows.csv")
            file.write_text(",".join(COLUMNS) + '\nNL1,A,5,"[[1,""x""]]"\nNL1,B,6,\nNL1,A,7,\nNL2,A,8,\n')
            seconds, rows, _ = embedded.sqlite(folder, COLUMNS, [file])
        self.assertEqual(rows, 3)
        self.assertGreater(seconds, 0)


class Kills(unittest.TestCase):
    ONE = b'{"lrn":"A","outcome":"OUTCOME_ACCEPTED","mrn":"26NL0JDVU5CVBU8KR3"}\n'
    OTHER_MRN = ONE.replace(b"KR3", b"KR4")
    REJECTED = b'{"lrn":"A","outcome":"OUTCOME_REJECTED"}\n'

    def difference(self, one, other, **options):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder, name) for name in ("one", "other")]
            for path, content in zip(paths, (one, other)):
                path.write_bytes(content)
            return comparing.first_difference(*paths, **options)

    def test_files_differ_where_a_byte_does(self):
        self.assertIsNone(self.difference(self.ONE * 2, self.ONE * 2))
        self.assertIn("line 2:", self.difference(self.ONE * 2, self.ONE + self.OTHER_MRN))
        self.assertEqual(self.difference(self.ONE, self.ONE * 2), "the second file has more than 1 lines")
        self.assertEqual(self.difference(self.ONE * 2, self.ONE), "the first file has more than 1 lines")

    def test_but_for_mrns_all_else_counts_and_that_there_is_one(self):
        self.assertIsNone(self.difference(self.ONE, self.OTHER_MRN, but_for_mrns=True))
        for other in (self.REJECTED, self.ONE.replace(b',"mrn":"26NL0JDVU5CVBU8KR3"', b""),
                      self.OTHER_MRN.replace(b'"A"', b'"B"')):
            self.assertIn("line 1:", self.difference(self.ONE, other, but_for_mrns=True))

    def test_of_summaries_only_what_replays_change_is_left_out(self):
        rates = [{"name": name, "value": 0.5} for name in ("rejection_rate", "replay_rate", "conflict_rate")]
        summary = {"actor": {"id": "X"}, "accepted": "3", "conflicts": "1", "replayed": "2", "watermark": "9",
                   "indicators": rates}
        wanted = {"actor": {"id": "X"}, "accepted": "3", "conflicts": "1", "indicators": rates[:1]}
        self.assertEqual(comparing.but_for_replays(summary), wanted)


if __name__ == "__main__":
    unittest.main()
