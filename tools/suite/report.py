"""Results of parts as one Markdown page."""

import json


def number(value) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        magnitude = abs(value)
        return f"{value:,.0f}" if magnitude >= 1000 else f"{value:.1f}" if magnitude >= 100 else f"{value:.4g}"
    return str(value)


def table(rows: list[dict]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return lines + ["| " + " | ".join(number(row.get(column)) for column in columns) + " |" for row in rows]


def machine_line(result: dict) -> str:
    machine = result["machine"]
    gpus = [f"{gpu['name']}, driver {gpu['driver_version']}, SM {gpu['clocks.sm']} of {gpu['clocks.max.sm']}, memory "
            f"{gpu['clocks.mem']} of {gpu['clocks.max.mem']}" for gpu in machine["gpus"]]
    return f"{'; '.join(gpus) or 'no GPU'}; {machine['cores']} cores of {machine['cpu']}"


def joined(results: list[dict]) -> list[dict]:
    """Runs of the same part of the same commit as one: parts may be run in pieces, with --only."""
    parts: dict[tuple, dict] = {}
    for result in results:
        key = (result["part"], result["commit"], json.dumps(result["machine"]["gpus"] and result["machine"]["gpus"][0]["name"]))
        if key not in parts:
            parts[key] = result | {"tables": {title: list(rows) for title, rows in result["tables"].items()}, "details": dict(result["details"])}
            continue
        whole = parts[key]
        whole["seconds"] = round(whole["seconds"] + result["seconds"], 1)
        whole["passed"] = whole["passed"] and result["passed"]
        whole["details"] |= result["details"]
        for title, rows in result["tables"].items():
            whole["tables"].setdefault(title, []).extend(rows)
    return list(parts.values())


def markdown(results: list[dict]) -> str:
    lines = []
    for result in joined(results):
        lines += [f"## {result['part']}", f"{result['began']}, commit {result['commit']}, {result['seconds']} s, "
                  f"{'passed' if result['passed'] else '**failed**'}. {machine_line(result)}.", ""]
        for title, rows in result["tables"].items():
            if rows:
                lines += [f"**{title}**", "", *table(rows), ""]
        for title, text in result["details"].items():
            if isinstance(text, str) and title.startswith(("kernel_bench", "profile")):
                lines += [f"`{title}`", "```", text.strip(), "```", ""]
    return "\n".join(lines)
