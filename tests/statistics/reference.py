"""What scipy and statsmodels say of the statistics in src/statistics.

    reference.py write FILE     writes the figures
    reference.py check FILE     makes them anew and holds FILE against them

The figures are in reference.json, which the Rust tests hold their own against. Where neither library
has the formula (samples by money, strata, CUSUM) it is written out here in numpy.
"""

import json
import math
import sys

import numpy
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

CONFIDENCES = [0.90, 0.95, 0.99]
PROPORTIONS = [
    (0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (3, 400), (1, 299), (7, 7_000), (500, 1_000),
    (999, 1_000), (2, 1_000_000), (250_000, 1_000_000), (999_999, 1_000_000), (1, 1_000_000_000),
    (12_345, 1_000_000_000),
]
COUNTS = [*range(0, 31), 50, 99, 100, 500, 1_000, 10_000, 1_000_000]


def intervals():
    for k, n in PROPORTIONS:
        lower, upper = proportion_confint(k, n, alpha=0.05, method="wilson")
        yield {
            "k": k,
            "n": n,
            # statsmodels takes the exact quantile and not 1.96.
            "z": stats.norm.ppf(0.975),
            "wilson": [lower, upper],
            "exact": [
                {
                    "confidence": c,
                    "interval": list(exact(k, n, 1 - c)),
                    "upper": 1.0 if k == n else stats.beta.ppf(c, k + 1, n - k),
                }
                for c in CONFIDENCES
            ],
        }


def exact(k, n, alpha):
    lower, upper = proportion_confint(k, n, alpha=alpha, method="beta")
    return float(lower), float(upper)


def poisson():
    return [
        {"k": k, "confidence": c, "upper": stats.chi2.ppf(c, 2 * (k + 1)) / 2}
        for k in COUNTS
        for c in CONFIDENCES
    ]


def sample_sizes():
    """The smallest sample that has an error in it with chance C at least, by counting up."""
    for c in [0.75, *CONFIDENCES]:
        for p in [0.5, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001]:
            n = 1
            while stats.binom.pmf(0, n, p) > (1 - c) * (1 + 1e-12):
                n += 1
            finite = {
                str(population): math.ceil(n / (1 + (n - 1) / population) - 1e-9)
                for population in [1, 50, 1_000, 100_000]
            }
            yield {"confidence": c, "p": p, "size": n, "finite": finite}


def monetary_unit():
    book = {"book_value": 100_000_000, "tolerable": 3_000_000}
    items = [[1_000, 1_000], [50_000, 25_000], [80_000, 0], [9_900, 9_801], [7_000, 8_000],
             [2_000_000, 1_500_000], [1_200_000, 1_200_000]]
    for c in CONFIDENCES:
        r = [stats.chi2.ppf(c, 2 * (i + 1)) / 2 for i in range(len(items) + 1)]
        interval = book["tolerable"] / r[0]
        large = sum(b - found for b, found in items if b >= interval)
        taintings = sorted(
            ((b - found) / b for b, found in items if b < interval and found < b), reverse=True
        )
        factor = r[0] + numpy.dot(numpy.diff(r)[: len(taintings)], taintings)
        yield {
            "confidence": c, **book, "interval": interval,
            "size": math.ceil(book["book_value"] / interval), "items": items,
            "upper": interval * factor + large,
        }


def strata():
    cases = [
        ([12_000, 5_000, 800, 90], [0.1, 0.3, 0.5, 0.2], 400),
        ([1_000_000, 10_000, 100], [0.05, 0.4, 0.5], 1_000),
        ([500, 500, 500], [0.2, 0.2, 0.2], 300),
    ]
    for sizes, deviations, size in cases:
        weights = numpy.multiply(sizes, deviations)
        # Where no bound binds, each differs from its share by less than one.
        yield {
            "sizes": sizes, "deviations": deviations, "size": size,
            "shares": list(size * weights / weights.sum()),
        }


def stratified():
    cases = [[(12_000, 120, 3), (5_000, 150, 20), (800, 40, 11), (90, 9, 0)],
             [(100, 100, 7), (2, 2, 1), (50, 5, 2)]]
    for case in cases:
        size, sampled, errors = (numpy.array(column, dtype=float) for column in zip(*case))
        share, p = size / size.sum(), errors / sampled
        variance = share**2 * p * (1 - p) / (sampled - 1) * (1 - sampled / size)
        yield {"strata": case, "proportion": float((share * p).sum()),
               "variance": float(variance.sum())}


def cusum():
    """Days of a level that shifts at the 20th; drawn once, from a fixed seed."""
    draw = numpy.random.default_rng(20261105)
    for level, shift, after in [(0.02, 0.01, 0.035), (0.9, -0.05, 0.8)]:
        total, days, inverse, points = 0.0, 0, 0.0, []
        for day in range(40):
            n = int(draw.integers(300, 900))
            k = int(draw.binomial(n, level if day < 20 else after))
            towards = math.copysign(1, shift) * (k / n - level)
            total = max(0.0, total + towards - abs(shift) / 2)
            days, inverse = days + 1, inverse + 1 / n
            limit = 5 * math.sqrt(level * (1 - level) * inverse / days)
            points.append({"k": k, "n": n, "sum": total, "limit": limit, "alarm": total > limit})
        assert not any(point["alarm"] for point in points[:20])
        assert any(point["alarm"] for point in points[20:])
        yield {"level": level, "shift": shift, "points": points}


def figures():
    return {
        "made_with": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
        "intervals": list(intervals()),
        "poisson": poisson(),
        "sample_sizes": list(sample_sizes()),
        "monetary_unit": list(monetary_unit()),
        "strata": list(strata()),
        "stratified": list(stratified()),
        "cusum": list(cusum()),
    }


def differences(kept, now, place=""):
    if isinstance(now, dict) and isinstance(kept, dict) and kept.keys() == now.keys():
        for name in now:
            if name != "made_with":
                yield from differences(kept[name], now[name], f"{place}.{name}")
    elif isinstance(now, list) and isinstance(kept, list) and len(kept) == len(now):
        for number, pair in enumerate(zip(kept, now)):
            yield from differences(*pair, f"{place}[{number}]")
    elif isinstance(now, float) and isinstance(kept, (int, float)):
        if not math.isclose(kept, now, rel_tol=1e-9, abs_tol=1e-300):
            yield f"{place}: {kept} in the file, {now} now"
    elif kept != now:
        yield f"{place}: {kept} in the file, {now} now"


def main():
    command, path = sys.argv[1:]
    now = json.loads(json.dumps(figures()))
    if command == "write":
        with open(path, "w") as out:
            json.dump(now, out, indent=1)
            out.write("\n")
    elif command == "check":
        with open(path) as kept:
            found = list(differences(json.load(kept), now))
        if found:
            sys.exit("\n".join(found))
        print(f"{path} is what {now['made_with']} say")
    else:
        sys.exit("write or check")


main()
