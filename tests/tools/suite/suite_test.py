"""The device suite without a device: bundles, counting, and the page of results."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[3] / "tools"
sys.path.insert(0, str(TOOLS))

from suite import bundle, machine, parts, report, served, suite  # noqa: E402

TRUE = shutil.which("true")


class BundleTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.root = self.folder / "tree"  # without ../shared, whose data takes seconds to pack
        shutil.copytree(TOOLS / "suite", self.root / "tools" / "suite")
        for name in ("device_suite", "compare_float32.py"):
            shutil.copy(TOOLS / name, self.root / "tools")
        self.build = self.folder / "build"
        (self.build / "bin").mkdir(parents=True)

    def test_what_is_packed_runs_after_unpacking(self):
        for name in [*bundle.PROGRAMS, "kernels_cuda_test"]:
            shutil.copy(TRUE, self.build / "bin" / name)
        bundle.make(self.root, self.build, self.folder / "out")
        place = bundle.unpack(self.folder / "out")
        self.addCleanup(shutil.rmtree, place)
        self.assertEqual(bundle.unpack(self.folder / "out"), place)
        for name in [*bundle.PROGRAMS, "kernels_cuda_test"]:
            self.assertEqual(subprocess.run([place / "bin" / name]).returncode, 0, name)
        one = suite.Suite(place, time.monotonic() + 60, "cpu", only="")
        self.assertEqual([path.name for path in one.programs("*cuda*_test")], ["kernels_cuda_test"])
        self.assertEqual(one.run([place / "bin" / "swiftlet"])[0], 0)
        self.assertEqual(one.run(["sleep", "30"], seconds=0.2)[0], 124)
        status, output = one.run(["sh", "-c", "echo begun; sleep 30 & wait"], seconds=0.5)  # its child keeps the pipe open
        self.assertEqual((status, output.splitlines()[0]), (124, "begun"))

    def test_a_missing_program_is_named(self):
        with self.assertRaisesRegex(bundle.BundleError, "swiftlet-gateway"):
            bundle.make(self.root, self.build, self.folder / "out")


class PartsTest(unittest.TestCase):
    def test_counts_what_google_test_says(self):
        output = "[==========] 4 tests ran.\n[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test, listed below:\n[  FAILED  ] 1 test, listed below:\n"
        self.assertEqual(parts.gtest_counts(output), {"passed": 2, "failed": 1, "skipped": 1})
        self.assertEqual(parts.gtest_counts("Segmentation fault"), {"passed": 0, "failed": 0, "skipped": 0})

    def test_one_test_that_dies_of_a_signal_fails_the_sanitizer(self):
        for ended, passed in (((0, "[  PASSED  ] 1 test.\n"), True), ((-11, ""), False), ((99, "[  PASSED  ] 1 test.\n"), False), ((0, ""), True)):
            class Tests:
                only, tables, details = "memcheck", [], {}

                def programs(self, _):
                    return [pathlib.Path("kernels_cuda_test")]

                def run(self, command):
                    if "--gtest_list_tests" in command:
                        return 0, "Running main() from gtest_main.cc\nLinear.\n  First\n  Second\nCuda/Shapes.\n  Every/2x3  # GetParam() = 1\n"
                    return ended if command[-1] == "--gtest_filter=Cuda/Shapes.Every/2x3" else (0, "[  PASSED  ] 1 test.\n")

                def row(self, _, **columns):
                    self.tables.append(columns)

            tests = Tests()
            self.assertEqual(parts.sanitizer(tests), passed, ended)
            self.assertEqual(tests.tables[-1]["status"], ended[0])
            self.assertEqual(tests.tables[-1]["passed"], 2 + ("PASSED" in ended[1]))

    def test_core_seconds_of_a_million_tokens(self):
        self.assertEqual(served.per_million({"cpu_s": {"gateway": 3.0}, "output_tokens_total": 250_000}, "gateway"), 12)


class SuiteTest(unittest.TestCase):
    def test_only_takes_steps_whose_name_has_one_of_the_words(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "bundle.json").write_text('{"commit": "abc"}')
            some = suite.Suite(pathlib.Path(folder), time.monotonic() + 60, "cpu", only="flat 512,float32")
            every = suite.Suite(pathlib.Path(folder), time.monotonic() + 60, "cpu", only="")
        self.assertTrue(some.wanted("flat 512") and some.wanted("float32") and every.wanted("anything"))
        self.assertFalse(some.wanted("flat 5120") or some.wanted("flat 4096") or some.wanted("peaked 512"))


class ReportTest(unittest.TestCase):
    def test_parts_become_one_page(self):
        gpu = dict.fromkeys(machine.GPU_FIELDS, "?") | {"name": "GPU X", "driver_version": "1.2", "clocks.sm": "1980 MHz"}
        common = {"commit": "abc", "began": "2026-11-23 08:00 UTC", "seconds": 1.5, "details": {"kernel_bench_x": "figures", "other": "no"},
                  "machine": {"gpus": [gpu], "cores": 16, "cpu": "CPU"}}
        first = common | {"part": "engine", "passed": True, "tables": {"Engine": [{"what": "a", "tok/s": 12345.6}, {"what": "b", "note": None}]}}
        second = common | {"part": "served", "passed": False, "tables": {}}
        page = report.markdown(json.loads(json.dumps([first, second])))
        for text in ("## engine", "commit abc", "GPU X, driver 1.2, SM 1980 MHz", "| what | tok/s | note |", "| a | 12,346 | – |", "## served",
                     "**failed**", "figures"):
            self.assertIn(text, page)
        self.assertNotIn("other", page)

    def test_pieces_of_a_part_become_one_table(self):
        common = {"part": "engine", "commit": "abc", "began": "now", "seconds": 2.0, "details": {}, "machine": {"gpus": [], "cores": 1, "cpu": "C"}}
        first = common | {"passed": True, "tables": {"Engine": [{"what": "a"}], "Ready": [{"s": 1}]}}
        second = common | {"passed": False, "tables": {"Engine": [{"what": "b"}]}}
        other = common | {"passed": True, "part": "served", "tables": {"Engine": [{"what": "c"}]}}
        page = report.markdown([first, other, second])
        self.assertEqual(page.count("## engine"), 1)
        self.assertIn("| a |\n| b |\n", page)
        self.assertIn("4.0 s, **failed**", page)
        self.assertEqual(page.count("**Engine**"), 2)

    def test_a_machine_without_a_gpu_is_described(self):
        self.assertGreater(machine.describe()["cores"], 0)


if __name__ == "__main__":
    unittest.main()
