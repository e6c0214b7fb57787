// Motifs of the world outside. Each takes a seeded generator and a palette, fixes its shapes once, and gives a function that
// paints them at a time; a motif must use the generator only while it is being made, or it would not be the same twice.

const TURN = Math.PI * 2;

function disc(context, x, y, radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fill();
}

function sunDisc(context, x, y, radius, palette) {
  const glow = context.createRadialGradient(x, y, radius * 0.6, x, y, radius * 2.6);
  glow.addColorStop(0, palette.accent(0.5));
  glow.addColorStop(1, palette.accent(0));
  context.fillStyle = glow;
  context.fillRect(x - radius * 3, y - radius * 3, radius * 6, radius * 6);
  const body = context.createLinearGradient(x, y - radius, x, y + radius);
  body.addColorStop(0, palette.light());
  body.addColorStop(1, palette.accent());
  disc(context, x, y, radius, body);
}

/** Sea under a low sun. */
export function waves(random, palette) {
  const sunX = 0.25 + random() * 0.5;
  const layers = Array.from({ length: 6 }, (_, index) => ({
    level: 0.46 + index * 0.095,
    length: 1.1 + random() * 1.6,
    swing: 0.012 + random() * 0.016,
    speed: 0.35 + random() * 0.5,
    phase: random() * TURN,
  }));
  return (context, width, height, seconds) => {
    sunDisc(context, sunX * width, height * 0.36, width * 0.19, palette);
    layers.forEach((layer, index) => {
      context.beginPath();
      context.moveTo(0, height);
      for (let step = 0; step <= 24; step += 1) {
        const x = step / 24;
        const wave = Math.sin(x * TURN * layer.length * 0.6 + seconds * layer.speed + layer.phase);
        context.lineTo(x * width, (layer.level + wave * layer.swing) * height);
      }
      context.lineTo(width, height);
      context.fillStyle = [palette.bright, palette.middle, palette.accentDeep, palette.middle, palette.deep, palette.night][index](0.72);
      context.fill();
    });
  };
}

/** Mountain ridges in the haze. */
export function peaks(random, palette) {
  const sun = { x: 0.2 + random() * 0.6, y: 0.22 + random() * 0.12, radius: 0.12 + random() * 0.07 };
  const ridges = Array.from({ length: 4 }, (_, index) => {
    const points = Array.from({ length: 8 }, (_, step) => (step % 2 ? 0.02 : 0.15) + random() * 0.11 * (1 - index * 0.15));
    return { level: 0.5 + index * 0.125, points, shift: random() * 0.1 };
  });
  return (context, width, height, seconds) => {
    sunDisc(context, sun.x * width, (sun.y + Math.sin(seconds * 0.2) * 0.006) * height, sun.radius * width, palette);
    ridges.forEach((ridge, index) => {
      const drift = Math.sin(seconds * 0.12 + index) * 0.012 * (index + 1);
      context.beginPath();
      context.moveTo(-width * 0.2, height);
      ridge.points.forEach((lift, step) => {
        context.lineTo((step / 6 - 0.1 - ridge.shift + drift) * width, (ridge.level - lift + 0.06) * height);
      });
      context.lineTo(width * 1.2, height);
      const haze = context.createLinearGradient(0, (ridge.level - 0.2) * height, 0, (ridge.level + 0.25) * height);
      haze.addColorStop(0, [palette.bright, palette.middle, palette.deep, palette.night][index](0.95));
      haze.addColorStop(1, [palette.middle, palette.deep, palette.night, palette.night][index](0.95));
      context.fillStyle = haze;
      context.fill();
    });
  };
}

/** A town at night with windows that go on and off. */
export function skyline(random, palette) {
  const moon = { x: 0.2 + random() * 0.6, y: 0.18 + random() * 0.1 };
  const houses = [];
  for (const row of [0, 1]) {
    let x = -0.04;
    while (x < 1) {
      const wide = 0.11 + random() * 0.11;
      houses.push({ row, x, wide, tall: (row ? 0.2 : 0.34) + random() * 0.24, seed: random() * 100 });
      x += wide + (row ? 0.03 : 0.008);
    }
  }
  return (context, width, height, seconds) => {
    sunDisc(context, moon.x * width, moon.y * height, width * 0.11, palette);
    for (const house of houses) {
      const top = height * (0.86 - house.tall);
      context.fillStyle = house.row ? palette.night() : palette.deep();
      context.fillRect(house.x * width, top, house.wide * width, height);
      paintWindows(context, house, top, width, height, seconds, palette);
    }
  };
}

function paintWindows(context, house, top, width, height, seconds, palette) {
  const columns = Math.max(2, Math.round(house.wide * 28));
  const cell = (house.wide * width) / (columns + 0.6);
  const rows = Math.floor((height * 0.86 - top) / (cell * 1.5));
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const mood = Math.sin(house.seed + row * 12.9 + column * 78.2 + Math.floor(seconds * 0.35 + row * 0.37) * 0.9);
      if (mood < 0.1) continue;
      context.fillStyle = (mood > 0.75 ? palette.accent : palette.light)(house.row ? 0.78 : 0.4);
      context.fillRect(house.x * width + cell * (column + 0.45), top + cell * (0.7 + row * 1.5), cell * 0.62, cell * 0.86);
    }
  }
}

/** A planet with rings and moons among stars. */
export function stars(random, palette) {
  const dots = Array.from({ length: 90 }, () => ({ x: random(), y: random(), size: 0.6 + random() * 1.7, phase: random() * TURN }));
  const tilt = -0.5 + random();
  const moons = Array.from({ length: 3 }, (_, index) => ({ orbit: 0.36 + index * 0.13, speed: 0.5 / (index + 1), phase: random() * TURN, size: 0.022 + random() * 0.024 }));
  return (context, width, height, seconds) => {
    for (const dot of dots) {
      disc(context, dot.x * width, dot.y * height, (dot.size * width) / 400, palette.light(0.35 + 0.35 * Math.sin(seconds * 1.4 + dot.phase)));
    }
    context.translate(width * 0.5, height * 0.4);
    context.rotate(tilt);
    sunDisc(context, 0, 0, width * 0.21, palette);
    for (const moon of moons) {
      context.strokeStyle = palette.light(0.32);
      context.lineWidth = width / 260;
      context.beginPath();
      context.ellipse(0, 0, moon.orbit * width, moon.orbit * width * 0.34, 0, 0, TURN);
      context.stroke();
      const angle = seconds * moon.speed + moon.phase;
      disc(context, Math.cos(angle) * moon.orbit * width, Math.sin(angle) * moon.orbit * width * 0.34, moon.size * width, palette.light());
    }
  };
}

/** Leaves that sway. */
export function leaves(random, palette) {
  const blades = Array.from({ length: 15 }, (_, index) => ({
    x: 0.5 + (random() - 0.5) * 0.3,
    length: 0.34 + random() * 0.3,
    angle: -1.35 + (index / 14) * 2.7,
    wide: 0.11 + random() * 0.07,
    phase: random() * TURN,
    colour: [palette.bright, palette.middle, palette.accentDeep, palette.accent][Math.floor(random() * 3.4)],
  }));
  return (context, width, height, seconds) => {
    sunDisc(context, width * 0.5, height * 0.3, width * 0.13, palette);
    for (const blade of blades) {
      context.save();
      context.translate(blade.x * width, height * 0.86);
      context.rotate(blade.angle + Math.sin(seconds * 0.8 + blade.phase) * 0.05);
      const tall = blade.length * height;
      const wide = blade.wide * width;
      const fill = context.createLinearGradient(0, 0, 0, -tall);
      fill.addColorStop(0, palette.night());
      fill.addColorStop(1, blade.colour(0.95));
      context.fillStyle = fill;
      context.beginPath();
      context.moveTo(0, 0);
      context.quadraticCurveTo(wide, -tall * 0.5, 0, -tall);
      context.quadraticCurveTo(-wide, -tall * 0.5, 0, 0);
      context.fill();
      context.strokeStyle = palette.light(0.25);
      context.lineWidth = width / 320;
      context.beginPath();
      context.moveTo(0, 0);
      context.lineTo(0, -tall * 0.92);
      context.stroke();
      context.restore();
    }
  };
}

/** A road that runs into the evening. */
export function road(random, palette) {
  const bend = (random() - 0.5) * 0.5;
  const hills = Array.from({ length: 9 }, () => random());
  return (context, width, height, seconds) => {
    const horizon = height * 0.46;
    sunDisc(context, width * (0.5 + bend * 0.5), horizon - width * 0.08, width * 0.2, palette);
    context.fillStyle = palette.deep();
    context.beginPath();
    context.moveTo(0, horizon);
    hills.forEach((lift, step) => context.lineTo((step / 8) * width, horizon - lift * height * 0.06));
    context.lineTo(width, height);
    context.lineTo(0, height);
    context.fill();
    const edge = (depth, side) => width * (0.5 + bend * (1 - depth) * (1 - depth) * 0.5 + side * (0.02 + depth * 0.62));
    context.fillStyle = palette.night();
    paintStrip(context, horizon, height, edge, [-1, 1], 0, 1);
    context.fillStyle = palette.light(0.9);
    for (let dash = 0; dash < 9; dash += 1) {
      const depth = ((dash / 9 + seconds * 0.22) % 1) ** 2.2;
      paintStrip(context, horizon, height, edge, [-0.035, 0.035], depth, Math.min(1, depth * 1.24 + 0.004));
    }
    context.fillStyle = palette.accent(0.8);
    paintStrip(context, horizon, height, edge, [-0.96, -0.9], 0, 1);
    paintStrip(context, horizon, height, edge, [0.9, 0.96], 0, 1);
  };
}

function paintStrip(context, horizon, height, edge, [left, right], from, to) {
  const steps = 10;
  const y = (depth) => horizon + (height - horizon) * depth;
  context.beginPath();
  for (let step = 0; step <= steps; step += 1) {
    const depth = from + ((to - from) * step) / steps;
    context.lineTo(edge(depth, left), y(depth));
  }
  for (let step = steps; step >= 0; step -= 1) {
    const depth = from + ((to - from) * step) / steps;
    context.lineTo(edge(depth, right), y(depth));
  }
  context.fill();
}
