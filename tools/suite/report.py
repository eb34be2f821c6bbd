"""Results of parts as one Markdown page."""


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


def markdown(results: list[dict]) -> str:
    lines = []
    for result in results:
        lines += [f"## {result['part']}", f"{result['began']}, commit {result['commit']}, {result['seconds']} s, "
                  f"{'passed' if result['passed'] else '**failed**'}. {machine_line(result)}.", ""]
        for title, rows in result["tables"].items():
            if rows:
                lines += [f"**{title}**", "", *table(rows), ""]
        for title, text in result["details"].items():
            if isinstance(text, str) and title.startswith(("kernel_bench", "profile")):
                lines += [f"`{title}`", "```", text.strip(), "```", ""]
    return "\n".join(lines)
