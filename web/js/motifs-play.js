// Motifs of music, dance, games, animals, laughing and sport. Same rule as in motifs-outdoors.js: the generator is used only
// while a motif is made.

const TURN = Math.PI * 2;

function ring(context, x, y, radius, stroke, lineWidth) {
  context.strokeStyle = stroke;
  context.lineWidth = lineWidth;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.stroke();
}

function disc(context, x, y, radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fill();
}

function paintTriangle(context, fill, ...corners) {
  context.fillStyle = fill;
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.fill();
}

/** A record that turns over a row of level bars. */
export function vinyl(random, palette) {
  const bars = Array.from({ length: 17 }, () => ({ speed: 1.6 + random() * 2.6, phase: random() * TURN, height: 0.05 + random() * 0.13 }));
  const start = random() * TURN;
  return (context, width, height, seconds) => {
    const x = width * 0.5;
    const y = height * 0.38;
    const radius = width * 0.36;
    disc(context, x, y, radius * 1.03, palette.accent(0.9));
    disc(context, x, y, radius, palette.night());
    for (let groove = 0; groove < 9; groove += 1) {
      ring(context, x, y, radius * (0.42 + groove * 0.063), palette.bright(groove % 3 ? 0.16 : 0.4), width / 320);
    }
    const turn = start + seconds * 0.9;
    context.fillStyle = palette.light(0.16);
    for (const side of [0, Math.PI]) {
      context.beginPath();
      context.moveTo(x, y);
      context.arc(x, y, radius, turn + side, turn + side + 0.42);
      context.fill();
    }
    disc(context, x, y, radius * 0.36, palette.accent());
    disc(context, x + Math.cos(turn) * radius * 0.2, y + Math.sin(turn) * radius * 0.2, radius * 0.06, palette.night(0.6));
    disc(context, x, y, radius * 0.05, palette.light());
    const slot = width / (bars.length + 1);
    bars.forEach((bar, index) => {
      const tall = height * bar.height * (0.55 + 0.45 * Math.sin(seconds * bar.speed + bar.phase));
      context.fillStyle = (index % 3 ? palette.bright : palette.accent)(0.85);
      context.fillRect(slot * (index + 0.7), height * 0.8 - tall, slot * 0.6, tall * 1.35);
    });
  };
}

/** Ribbons in the wind. */
export function ribbons(random, palette) {
  const bands = Array.from({ length: 7 }, (_, index) => ({
    level: 0.1 + index * 0.11 + random() * 0.05,
    swing: 0.07 + random() * 0.08,
    length: 0.7 + random() * 0.7,
    speed: 0.25 + random() * 0.4,
    phase: random() * TURN,
    wide: 0.07 + random() * 0.09,
    colour: [palette.bright, palette.accent, palette.light, palette.middle][Math.floor(random() * 4)],
  }));
  return (context, width, height, seconds) => {
    for (const band of bands) {
      const y = (x, edge) => {
        const wave = Math.sin(x * TURN * band.length + seconds * band.speed + band.phase);
        const twist = Math.sin(x * TURN * band.length * 0.7 + seconds * band.speed * 0.8 + band.phase * 2);
        return (band.level + wave * band.swing + edge * band.wide * (0.15 + 0.85 * Math.abs(twist))) * height;
      };
      context.beginPath();
      for (let step = 0; step <= 28; step += 1) context.lineTo((step / 28) * width, y(step / 28, 0));
      for (let step = 28; step >= 0; step -= 1) context.lineTo((step / 28) * width, y(step / 28, 1));
      const sheen = context.createLinearGradient(0, 0, width, height * 0.2);
      sheen.addColorStop(0, band.colour(0.15));
      sheen.addColorStop(0.5, band.colour(0.75));
      sheen.addColorStop(1, band.colour(0.2));
      context.fillStyle = sheen;
      context.fill();
    }
  };
}

/** An arcade horizon: striped sun over a running grid. */
export function grid(random, palette) {
  const speed = 0.25 + random() * 0.3;
  const towers = Array.from({ length: 12 }, () => random());
  return (context, width, height, seconds) => {
    const horizon = height * 0.52;
    const sun = context.createLinearGradient(0, horizon - width * 0.6, 0, horizon);
    sun.addColorStop(0, palette.light());
    sun.addColorStop(1, palette.accent());
    disc(context, width * 0.5, horizon - width * 0.2, width * 0.33, sun);
    context.fillStyle = palette.deep();
    for (let stripe = 0; stripe < 6; stripe += 1) {
      context.fillRect(0, horizon - width * 0.2 + stripe * width * 0.055, width, width * (0.008 + stripe * 0.004));
    }
    towers.forEach((tall, index) => context.fillRect((index / 12) * width, horizon - tall * width * 0.12, width / 12 - width / 90, height));
    context.fillStyle = palette.night();
    context.fillRect(0, horizon, width, height - horizon);
    context.strokeStyle = palette.bright(0.85);
    context.lineWidth = width / 230;
    context.beginPath();
    for (let line = -9; line <= 9; line += 1) {
      context.moveTo(width * (0.5 + line * 0.055), horizon);
      context.lineTo(width * (0.5 + line * 0.36), height);
    }
    for (let line = 0; line < 11; line += 1) {
      const depth = ((line + ((seconds * speed * 3) % 1)) / 11) ** 2.4;
      context.moveTo(0, horizon + (height - horizon) * depth);
      context.lineTo(width, horizon + (height - horizon) * depth);
    }
    context.stroke();
  };
}

/** A cat that blinks and watches. */
export function cat(random, palette) {
  const blinkAt = 2.6 + random() * 2;
  const fur = random() < 0.5 ? palette.bright : palette.light;
  const striped = random() < 0.6;
  return (context, width, height, seconds) => {
    const size = width * 0.32;
    const gaze = Math.sin(seconds * 0.6) * size * 0.06;
    context.translate(width * 0.5, height * 0.43);
    context.rotate(Math.sin(seconds * 0.5) * 0.04);
    paintHead(context, size, fur, striped, palette);
    const open = seconds % blinkAt < 0.14 ? 0.08 : 1;
    for (const side of [-1, 1]) {
      context.fillStyle = palette.night();
      context.beginPath();
      context.ellipse(side * size * 0.42 + gaze, -size * 0.08, size * 0.15, size * 0.2 * open, 0, 0, TURN);
      context.fill();
      if (open === 1) disc(context, side * size * 0.42 + gaze + size * 0.05, -size * 0.16, size * 0.05, palette.light());
    }
    paintMuzzle(context, size, palette);
  };
}

function paintHead(context, size, fur, striped, palette) {
  for (const side of [-1, 1]) {
    paintTriangle(context, fur(), [side * size * 0.95, -size * 0.2], [side * size * 0.82, -size * 1.3], [side * size * 0.15, -size * 0.75]);
    paintTriangle(context, palette.accent(), [side * size * 0.78, -size * 0.45], [side * size * 0.74, -size * 1.05], [side * size * 0.35, -size * 0.75]);
  }
  context.fillStyle = fur();
  context.beginPath();
  context.ellipse(0, 0, size * 1.06, size * 0.92, 0, 0, TURN);
  context.fill();
  for (const x of striped ? [-0.2, 0, 0.2] : []) {
    paintTriangle(context, palette.middle(), [(x - 0.07) * size, -size * 0.92], [(x + 0.07) * size, -size * 0.92], [x * size, -size * 0.5]);
  }
}

function paintMuzzle(context, size, palette) {
  paintTriangle(context, palette.accentDeep(), [-size * 0.1, size * 0.2], [size * 0.1, size * 0.2], [0, size * 0.33]);
  context.strokeStyle = palette.night(0.75);
  context.lineWidth = size * 0.035;
  context.lineCap = 'round';
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(0, size * 0.33);
    context.quadraticCurveTo(side * size * 0.14, size * 0.55, side * size * 0.3, size * 0.4);
    for (const whisker of [0.2, 0.34]) {
      context.moveTo(side * size * 0.5, size * whisker);
      context.lineTo(side * size * 1.25, size * (whisker * 1.6 - 0.2));
    }
  }
  context.stroke();
}

/** Laughing faces that bob. */
export function smile(random, palette) {
  const faces = Array.from({ length: 5 }, (_, index) => ({
    x: [0.5, 0.18, 0.84, 0.22, 0.8][index] + (random() - 0.5) * 0.06,
    y: [0.42, 0.2, 0.22, 0.67, 0.66][index] + (random() - 0.5) * 0.04,
    size: index === 0 ? 0.27 : 0.09 + random() * 0.05,
    phase: random() * TURN,
    colour: index === 0 ? palette.accent : [palette.bright, palette.light][index % 2],
  }));
  return (context, width, height, seconds) => {
    for (const face of faces) {
      const radius = face.size * width;
      context.save();
      context.translate(face.x * width, face.y * height + Math.sin(seconds * 1.3 + face.phase) * radius * 0.1);
      context.rotate(Math.sin(seconds * 0.9 + face.phase) * 0.14);
      disc(context, 0, 0, radius, face.colour());
      context.strokeStyle = palette.night();
      context.lineWidth = radius * 0.1;
      context.lineCap = 'round';
      context.beginPath();
      for (const side of [-1, 1]) {
        context.moveTo(side * radius * 0.5, -radius * 0.16);
        context.quadraticCurveTo(side * radius * 0.35, -radius * 0.42, side * radius * 0.2, -radius * 0.16);
      }
      context.stroke();
      context.fillStyle = palette.night();
      context.beginPath();
      context.arc(0, radius * 0.12, radius * (0.5 + 0.05 * Math.sin(seconds * 3 + face.phase)), 0, Math.PI);
      context.fill();
      context.restore();
    }
  };
}

/** Lanes of a running track and a ball. */
export function track(random, palette) {
  const side = random() < 0.5 ? 0 : 1;
  const tempo = 1.5 + random() * 0.8;
  return (context, width, height, seconds) => {
    for (let lane = 0; lane < 8; lane += 1) {
      const radius = width * (1.34 - lane * 0.135);
      disc(context, side * width, height * 0.92, radius, (lane % 2 ? palette.middle : palette.deep)(0.92));
      ring(context, side * width, height * 0.92, radius, palette.light(0.55), width / 190);
    }
    const bounce = 1 - (((seconds * tempo) % 2) - 1) ** 2;
    const x = width * (0.5 + Math.sin(seconds * 0.4) * 0.16);
    const y = height * (0.62 - bounce * 0.3);
    context.fillStyle = palette.night(0.5 - bounce * 0.3);
    context.beginPath();
    context.ellipse(x, height * 0.72, width * (0.15 - bounce * 0.05), width * 0.03, 0, 0, TURN);
    context.fill();
    paintBall(context, x, y, width * 0.14, seconds * 1.4, palette);
  };
}

function paintBall(context, x, y, radius, turn, palette) {
  const body = context.createRadialGradient(x - radius * 0.36, y - radius * 0.36, 0, x, y, radius * 1.07);
  body.addColorStop(0, palette.light());
  body.addColorStop(1, palette.accent());
  disc(context, x, y, radius, body);
  context.translate(x, y);
  context.rotate(turn);
  context.beginPath();
  context.arc(0, 0, radius, 0, TURN);
  context.clip();
  for (const side of [-1, 1]) ring(context, side * radius, 0, radius * 0.72, palette.night(0.55), radius * 0.06);
}
